//! Looks up host names.

use std::io;
use std::sync::RwLock;
use std::time::{Duration, Instant};

use ureq::config::Config as AgentConfig;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::http::uri::{Authority, Scheme, Uri};

/// Looks up names, and remembers the answer for a while: the client asks before every request, even where it has an
/// open connection, and a look-up with a time limit costs a thread. Where a name cannot be looked up any more, the last
/// addresses are used on: a name server that fails in the night does not make a host that is well disappear.
#[derive(Debug, Default)]
pub struct Lookup<R = DefaultResolver> {
    asked: R,
    known: RwLock<Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    scheme: Scheme,
    authority: Authority,
    addresses: ResolvedSocketAddrs,
    since: Instant,
}

/// Hosts move; a new connection notices after this long. A name server that failed is asked again after as long.
const REMEMBERED: Duration = Duration::from_secs(60);

impl<R> Lookup<R> {
    /// The last addresses, if they are `young` enough.
    fn last(&self, scheme: &Scheme, authority: &Authority, young: Duration) -> Option<ResolvedSocketAddrs> {
        let known = self.known.read().ok()?;
        let entry = known.iter().find(|k| k.scheme == *scheme && k.authority == *authority)?;
        (entry.since.elapsed() < young).then(|| entry.addresses.clone())
    }

    fn remember(&self, scheme: &Scheme, authority: &Authority, addresses: &ResolvedSocketAddrs) {
        let Ok(mut known) = self.known.write() else { return };
        known.retain(|k| k.scheme != *scheme || k.authority != *authority);
        known.push(Known {
            scheme: scheme.clone(),
            authority: authority.clone(),
            addresses: addresses.clone(),
            since: Instant::now(),
        });
    }
}

impl<R: Resolver> Resolver for Lookup<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &AgentConfig,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(ureq::Error::BadUri(uri.to_string()));
        };
        if let Some(addresses) = self.last(scheme, authority, REMEMBERED) {
            return Ok(addresses);
        }
        let addresses = match (self.asked.resolve(uri, config, timeout), self.last(scheme, authority, Duration::MAX)) {
            (Ok(addresses), _) | (Err(_), Some(addresses)) => addresses,
            (Err(ureq::Error::Io(error)), None) => {
                return Err(ureq::Error::Other(LookupFailed { host: authority.host().into(), error }.into()));
            }
            (Err(other), None) => return Err(other),
        };
        self.remember(scheme, authority, &addresses);
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
    use std::sync::Mutex;

    use super::*;

    const URL: &str = "http://api.example.org:7/";

    /// A name server that gives each of these answers once.
    #[derive(Debug)]
    struct Script(Mutex<Vec<Result<&'static str, ureq::Error>>>);

    impl Resolver for Script {
        fn resolve(&self, _: &Uri, _: &AgentConfig, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
            let mut addresses = self.empty();
            addresses.push(self.0.lock().unwrap().remove(0)?.parse().unwrap());
            Ok(addresses)
        }
    }

    fn lookup(answers: Vec<Result<&'static str, ureq::Error>>) -> Lookup<Script> {
        Lookup { asked: Script(Mutex::new(answers)), known: RwLock::default() }
    }

    fn look(lookup: &Lookup<Script>) -> Result<String, ureq::Error> {
        let found = lookup.resolve(&Uri::from_static(URL), &AgentConfig::default(), NextTimeout::default());
        found.map(|addresses| addresses[0].to_string())
    }

    /// Lets what is remembered grow old.
    fn age(lookup: &Lookup<Script>) {
        lookup.known.write().unwrap().iter_mut().for_each(|known| known.since -= REMEMBERED);
    }

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
        let lookup = lookup(vec![Ok("127.0.0.1:7"), Ok("127.0.0.2:7")]);
        assert_eq!([look(&lookup).unwrap(), look(&lookup).unwrap()], ["127.0.0.1:7"; 2]);
        let authority = Uri::from_static(URL).authority().unwrap().clone();
        assert!(lookup.last(&Scheme::HTTPS, &authority, REMEMBERED).is_none());
        age(&lookup);
        assert_eq!(look(&lookup).unwrap(), "127.0.0.2:7");
    }

    #[test]
    fn a_name_that_stops_resolving_keeps_its_last_addresses_and_is_asked_for_again_a_minute_later() {
        let gone = || Err(io::Error::other("Temporary failure in name resolution").into());
        let slow = || Err(ureq::Error::Timeout(ureq::Timeout::Resolve));
        let nobody = || Err(ureq::Error::HostNotFound);
        let lookup = lookup(vec![Ok("127.0.0.1:7"), gone(), slow(), nobody(), Ok("127.0.0.2:7")]);
        assert_eq!(look(&lookup).unwrap(), "127.0.0.1:7");
        for _ in 0..3 {
            age(&lookup);
            assert_eq!([look(&lookup).unwrap(), look(&lookup).unwrap()], ["127.0.0.1:7"; 2], "asked once a minute");
        }
        age(&lookup);
        assert_eq!(look(&lookup).unwrap(), "127.0.0.2:7");
    }

    #[test]
    fn a_name_that_never_resolved_is_an_error_with_its_host() {
        let lookup = lookup(vec![Err(io::Error::other("unknown").into())]);
        assert_eq!(look(&lookup).unwrap_err().to_string(), "other: cannot look up the host api.example.org: unknown");
    }
}
