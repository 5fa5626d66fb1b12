//! Questions whose answers tell only whether the API is there: asked past the gate, once, when others have answered in its place.

use serde_json::Value;

use super::site::Probed;
use super::transport::http::Uri;
use super::{Api, PAGE, origin, reply, request, send, urls, wire};

impl Api {
    /// Asks for a record of some other resource, past the gate, once. A resource that the caller may not read says little, so that a few are
    /// tried.
    pub(super) fn probe(&self, except: Option<&Uri>) -> Probed {
        /// So many resources are asked for a record.
        const ASKED: usize = 3;
        let urls = self.dependencies.iter().filter_map(|known| self.urls.of(&known.resource).ok());
        let mut probed = Probed::Gone("it has no other resource that could be asked for".into());
        for url in urls.filter(|url| Some(url) != except).take(ASKED) {
            let asked = urls::with_query(&url, [("limit", "1")])
                .and_then(|url| send::authorized(&self.wire, &self.session, &mut request::get(&url, None, PAGE)));
            match asked.map(|asked| asked.answer) {
                Ok(Ok(reply)) if reply.accepted() => return Probed::Serves,
                Ok(Ok(reply)) if (reply.status == 403 && !origin::is_foreign(&reply)) || is_problem(&reply) => {
                    probed = Probed::Answers;
                }
                Ok(answer) => return Probed::Gone(wire::in_words(&answer)),
                Err(error) => return Probed::Gone(error.to_string()),
            }
        }
        probed
    }

    /// Whether the API is there and payloads of a resource reach it: what stands before it may let questions through and no payload. A
    /// payload without members shows that, and writes nothing, because no resource can do without its natural key.
    pub(super) fn probe_posting(&self, url: &Uri) -> Probed {
        let probed = self.probe(None);
        if matches!(probed, Probed::Gone(_)) {
            return probed;
        }
        let asked = send::authorized(&self.wire, &self.session, &mut self.posting(url, b"{}", None));
        match asked.map(|asked| asked.answer) {
            Ok(Ok(reply)) if origin::is_foreign(&reply) => Probed::Gone(wire::in_words(&Ok(reply))),
            _ => probed,
        }
    }
}

/// Whether an answer is the API's no: what stands before it may say no as well, but not in JSON.
fn is_problem(reply: &reply::Reply) -> bool {
    let is_json = reply::json::<serde_json::Map<String, Value>>(&reply.body).is_ok();
    (400..500).contains(&reply.status) && is_json && !origin::is_foreign(reply)
}
