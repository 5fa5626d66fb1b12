//! Looks up host names.

use std::io;
use std::sync::RwLock;
use std::time::{Duration, Instant};

use ureq::config::Config as AgentConfig;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::http::uri::{Authority, Scheme, Uri};

/// Looks up names, and remembers the answer for a while: the client asks before every request, even where it has an
/// open connection, and a look-up with a time limit costs a thread.
#[derive(Debug, Default)]
pub struct Lookup {
    asked: DefaultResolver,
    known: RwLock<Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    scheme: Scheme,
    authority: Authority,
    addresses: ResolvedSocketAddrs,
    since: Instant,
}

impl Lookup {
    /// Hosts move; a new connection notices after this long.
    const REMEMBERED: Duration = Duration::from_secs(60);

    fn remembered(&self, scheme: &Scheme, authority: &Authority) -> Option<ResolvedSocketAddrs> {
        let known = self.known.read().ok()?;
        let entry = known.iter().find(|k| k.scheme == *scheme && k.authority == *authority)?;
        (entry.since.elapsed() < Lookup::REMEMBERED).then(|| entry.addresses.clone())
    }
}

impl Resolver for Lookup {
    fn resolve(
        &self,
        uri: &Uri,
        config: &AgentConfig,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(ureq::Error::BadUri(uri.to_string()));
        };
        if let Some(addresses) = self.remembered(scheme, authority) {
            return Ok(addresses);
        }
        let addresses = self.asked.resolve(uri, config, timeout).map_err(|error| match error {
            ureq::Error::Io(error) => ureq::Error::Other(LookupFailed { host: authority.host().into(), error }.into()),
            other => other,
        })?;
        if let Ok(mut known) = self.known.write() {
            known.retain(|k| k.scheme != *scheme || k.authority != *authority);
            known.push(Known {
                scheme: scheme.clone(),
                authority: authority.clone(),
                addresses: addresses.clone(),
                since: Instant::now(),
            });
        }
        Ok(addresses)
    }
}

/// A name that could not be looked up.
#[derive(Debug)]
pub struct LookupFailed {
    host: String,
    error: io::Error,
}

impl LookupFailed {
    /// Whether there is no such host, as far as the resolver knows, and not a failure of the resolver that may pass. The standard library
    /// has no other word for it than the resolver's own sentence (glibc, macOS, musl, Windows).
    pub fn is_final(&self) -> bool {
        const NO_SUCH_NAME: [&str; 5] =
            ["not known", "no address associated", "does not resolve", "no usable address", "no such host"];
        let text = self.error.to_string().to_lowercase();
        NO_SUCH_NAME.iter().any(|known| text.contains(known))
    }
}

impl std::fmt::Display for LookupFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot look up the host {}: {}", self.host, self.error)
    }
}

impl std::error::Error for LookupFailed {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_known_is_told_from_a_resolver_that_fails_for_now() {
        let is_final = |text: &str| LookupFailed { host: "a".into(), error: io::Error::other(text) }.is_final();
        assert!(is_final("failed to lookup address information: Name or service not known"));
        assert!(is_final("failed to lookup address information: nodename nor servname provided, or not known"));
        assert!(is_final("failed to lookup address information: No address associated with hostname"));
        assert!(is_final("No such host is known. (os error 11001)"));
        assert!(!is_final("failed to lookup address information: Temporary failure in name resolution"));
        assert!(!is_final("failed to lookup address information: System error"));
    }

    #[test]
    fn looked_up_addresses_are_remembered_for_a_minute() {
        let (lookup, url) = (Lookup::default(), Uri::from_static("http://127.0.0.1:7/"));
        let (scheme, authority) = (url.scheme().unwrap(), url.authority().unwrap());
        assert!(lookup.remembered(scheme, authority).is_none());
        lookup.resolve(&url, &AgentConfig::default(), NextTimeout::default()).unwrap();
        assert_eq!(lookup.remembered(scheme, authority).unwrap()[..], ["127.0.0.1:7".parse().unwrap()]);
        assert!(lookup.remembered(&Scheme::HTTPS, authority).is_none());
        lookup.known.write().unwrap()[0].since -= Lookup::REMEMBERED;
        assert!(lookup.remembered(scheme, authority).is_none());
    }
}
