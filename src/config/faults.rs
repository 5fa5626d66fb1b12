//! What is wrong with a configuration, all of it at once: whoever mends one fault does not want to hear of the next one
//! only then.

use crate::error::Error;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its line in the file; `None` where it comes from elsewhere.
    pub line: Option<usize>,
    /// The nested name of the key, if it is about one.
    pub key: Option<&'static str>,
    /// The sentence, with file, line and key.
    pub text: String,
}

impl Fault {
    /// About a key.
    pub fn at(line: Option<usize>, key: &'static str, text: String) -> Fault {
        Fault { line, key: Some(key), text }
    }
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Adds one, unless something is said of its key already: what follows from a fault is not another one.
    pub fn add(&mut self, fault: Fault) {
        if fault.key.is_none() || self.0.iter().all(|other| other.key != fault.key) {
            self.0.push(fault);
        }
    }

    /// Takes back what was said of a key.
    pub fn forget(&mut self, key: &str) {
        self.0.retain(|fault| fault.key != Some(key));
    }

    /// Says instead of a key's fault what explains it, if it has one; `name` is the end of its nested name. Returns the
    /// nested name.
    pub fn replace_missing(&mut self, name: &str, line: usize, text: String) -> Option<&'static str> {
        let fault = self.0.iter_mut().find(|fault| fault.key.is_some_and(|key| key.ends_with(name)))?;
        (fault.line, fault.text) = (Some(line), text);
        fault.key
    }

    /// A value, or `None` and one more fault.
    pub fn keep<T>(&mut self, read: Result<T, Fault>) -> Option<T> {
        read.map_err(|fault| self.add(fault)).ok()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them in the order of the file, as an error. What is missing may stand there under a mistyped name, so the
    /// warnings come with them.
    pub fn into_error(mut self, warnings: &[String]) -> Error {
        self.0.sort_by_key(|fault| fault.line.unwrap_or(usize::MAX));
        let texts: Vec<&str> = self.0.iter().map(|fault| fault.text.as_str()).collect();
        match texts[..] {
            [one] if warnings.is_empty() => Error::usage(one),
            [one] => Error::usage(format!("{one}; {}", warnings.join("; "))),
            _ => {
                let lines: Vec<&str> = texts.into_iter().chain(warnings.iter().map(String::as_str)).collect();
                Error::usage(format!("{} faults in the configuration:\n  {}", self.0.len(), lines.join("\n  ")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_are_told_in_the_order_of_the_file_and_one_of_each_key() {
        let mut faults = Faults::default();
        let fault = |line, key, text: &str| Fault::at(line, key, text.into());
        faults.add(fault(Some(9), "data_dir", "f:9: second"));
        faults.add(fault(Some(2), "namespace", "f:2: first"));
        faults.add(fault(Some(2), "namespace", "f:2: what follows from it"));
        faults.add(fault(None, "state_dir", "--set: third"));
        let error = faults.clone().into_error(&["f:1: unknown".into()]);
        let expected = "3 faults in the configuration:\n  f:2: first\n  f:9: second\n  --set: third\n  f:1: unknown";
        assert_eq!(error.to_string(), expected);
        faults.forget("data_dir");
        faults.forget("state_dir");
        assert_eq!(faults.into_error(&[]).to_string(), "f:2: first");
    }
}
