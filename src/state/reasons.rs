//! What the API said to payloads that it refused, so that a later run can say it again. Texts that many payloads got are kept once.

use std::sync::Arc;

use fxhash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use crate::api::refusal::{Refusal, RefusalKind};
use crate::digest::Digest;

/// What the API said to one payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The part that is the same for many payloads.
    pub text: Arc<Text>,
    /// By which the host's log knows the request.
    pub correlation_id: Option<Box<str>>,
}

impl Said {
    /// What is kept of a refusal: also the caller, if it is about that one.
    pub fn of(refusal: &Refusal, client_id: &str) -> Said {
        let messages = refusal.messages.iter().map(|message| message.as_str().into()).collect();
        let caller = (refusal.kind() == RefusalKind::Caller).then(|| client_id.into());
        let text = Text { problem_type: refusal.problem_type.as_deref().map(Into::into), messages, caller };
        Said { text: Arc::new(text), correlation_id: refusal.correlation_id.as_deref().map(Into::into) }
    }

    /// The refusal, of which the status is known besides.
    pub fn refusal(&self, status: u16) -> Refusal {
        let Text { problem_type, messages, .. } = &*self.text;
        Refusal {
            status,
            problem_type: problem_type.as_deref().map(Into::into),
            correlation_id: self.correlation_id.as_deref().map(Into::into),
            messages: messages.iter().map(|message| message.to_string()).collect(),
            ..Refusal::default()
        }
    }
}

/// The part of an answer that is the same for many payloads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Text {
    /// The answer's `type`.
    pub problem_type: Option<Box<str>>,
    /// What the API said, most specific first.
    pub messages: Vec<Box<str>>,
    /// The client id of the caller, if the refusal is about that one.
    pub caller: Option<Box<str>>,
}

impl Text {
    fn bytes(&self) -> usize {
        self.messages.iter().map(|message| message.len()).sum()
    }

    fn without_messages(&self) -> Text {
        let messages = vec!["refused in an earlier run; what the API said was too long to be kept".into()];
        Text { messages, ..self.clone() }
    }
}

/// What the API said to the refused payloads of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasons {
    of: FxHashMap<Digest, Said>,
    texts: FxHashSet<Arc<Text>>,
    /// How many bytes the texts have.
    bytes: usize,
}

/// As files hold it: texts, and for each payload the number of its text.
#[derive(Default, Serialize, Deserialize)]
struct Stored {
    texts: Vec<Text>,
    of: Vec<(Digest, u32, Option<Box<str>>)>,
}

impl Reasons {
    /// Of more payloads than this no correlation id is kept, because each is another text.
    const MOST_IDS: usize = 100_000;

    /// So many bytes of texts are kept, because an answer can be long and all of them different. Further payloads keep the `type` alone.
    const MOST_BYTES: usize = 4 * 1024 * 1024;

    /// Adds what the API said to a payload, in place of what it said before.
    pub fn add(&mut self, digest: Digest, said: Said) {
        let fits = self.texts.contains(&said.text) || self.bytes + said.text.bytes() <= Reasons::MOST_BYTES;
        let text = if fits { said.text } else { Arc::new(said.text.without_messages()) };
        let text = match self.texts.get(&text) {
            Some(text) => text.clone(),
            None => {
                self.bytes += text.bytes();
                self.texts.insert(text.clone());
                text
            }
        };
        let correlation_id = said.correlation_id.filter(|_| self.of.len() < Reasons::MOST_IDS);
        self.of.insert(digest, Said { text, correlation_id });
    }

    /// What the API said to a payload.
    pub fn get(&self, digest: &Digest) -> Option<&Said> {
        self.of.get(digest)
    }

    /// Forgets what it said to the others.
    pub fn retain(&mut self, keep: impl Fn(&Digest) -> bool) {
        if self.of.is_empty() {
            return;
        }
        self.of.retain(|digest, _| keep(digest));
        // One owner is the set itself.
        self.texts.retain(|text| Arc::strong_count(text) > 1);
        self.bytes = self.texts.iter().map(|text| text.bytes()).sum();
    }

    /// As bytes, which are the same for the same reasons.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut texts: Vec<&Arc<Text>> = self.texts.iter().collect();
        texts.sort();
        let numbers: FxHashMap<&Text, u32> = (0..).zip(&texts).map(|(number, text)| (&***text, number)).collect();
        let numbered = |(digest, said): (&Digest, &Said)| {
            (*digest, numbers.get(&*said.text).copied().unwrap_or_default(), said.correlation_id.clone())
        };
        let mut of: Vec<_> = self.of.iter().map(numbered).collect();
        of.sort_unstable();
        let stored = Stored { texts: texts.into_iter().map(|text| Text::clone(text)).collect(), of };
        // Serialising into a growing vector has no way to fail.
        postcard::to_extend(&stored, Vec::new()).unwrap_or_default()
    }

    /// From bytes; `None` if these are not such.
    pub fn from_bytes(bytes: &[u8]) -> Option<Reasons> {
        let Stored { texts, of } = postcard::from_bytes(bytes).ok()?;
        let texts: Vec<Arc<Text>> = texts.into_iter().map(Arc::new).collect();
        let bytes = texts.iter().map(|text| text.bytes()).sum();
        let mut reasons = Reasons { of: FxHashMap::default(), texts: texts.iter().cloned().collect(), bytes };
        for (digest, number, correlation_id) in of {
            let text = texts.get(number as usize)?.clone();
            reasons.of.insert(digest, Said { text, correlation_id });
        }
        Some(reasons)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(message: &str, id: &str) -> Said {
        let text =
            Text { problem_type: Some("urn:test".into()), messages: vec![message.into()], caller: Some("key".into()) };
        Said { text: Arc::new(text), correlation_id: Some(id.into()) }
    }

    #[test]
    fn what_was_said_is_read_as_it_was_written_and_each_text_is_kept_once() {
        let mut reasons = Reasons::default();
        for n in 0..100 {
            reasons.add(Digest([n; 16]), said(if n % 2 == 0 { "even" } else { "odd" }, &n.to_string()));
        }
        assert_eq!(reasons.texts.len(), 2);
        let read = Reasons::from_bytes(&reasons.to_bytes()).unwrap();
        assert_eq!(read, reasons);
        assert_eq!(read.to_bytes(), reasons.to_bytes());
        assert_eq!(read.get(&Digest([7; 16])), Some(&said("odd", "7")));
    }

    #[test]
    fn a_text_goes_with_the_last_payload_that_got_it() {
        let mut reasons = Reasons::default();
        reasons.add(Digest([1; 16]), said("one", "1"));
        reasons.add(Digest([2; 16]), said("two", "2"));
        reasons.retain(|digest| digest.0[0] == 2);
        assert_eq!((reasons.texts.len(), reasons.get(&Digest([1; 16]))), (1, None));
    }

    #[test]
    fn long_texts_without_end_do_not_fill_the_memory_and_each_payload_keeps_its_type() {
        let mut reasons = Reasons::default();
        for n in 0..200 {
            reasons.add(Digest([n; 16]), said(&format!("{n} {}", "x".repeat(64 * 1024)), "run"));
        }
        assert!(reasons.bytes < 5 * 1024 * 1024 && reasons.to_bytes().len() < 5 * 1024 * 1024);
        let Said { text, .. } = reasons.get(&Digest([199; 16])).unwrap();
        assert_eq!(text.problem_type.as_deref(), Some("urn:test"));
        assert!(text.messages[0].contains("too long to be kept"));
    }

    #[test]
    fn a_number_without_a_text_is_noticed() {
        let stored = Stored { texts: Vec::new(), of: vec![(Digest([1; 16]), 0, None)] };
        assert!(Reasons::from_bytes(&postcard::to_extend(&stored, Vec::new()).unwrap()).is_none());
    }
}
