//! What an Ed-Fi API takes although its documents forbid it, and what it refuses although they allow it. This is the one place that decides
//! it, for `validate` and for the sandbox.

use serde_json::Value;

/// Which API it is, as far as that decides what it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Product {
    /// One that nobody knows: its documents are taken at their word.
    #[default]
    Unknown,
    /// ODS/API up to 7.0.
    OlderOds,
    /// ODS/API 7.1 and later.
    Ods,
    /// The Data Management Service (DMS), which is Ed-Fi API 8 and later.
    Dms,
}

/// The first version of the ODS/API that takes more than its documents say.
const TOLERANT: (u64, u64) = (7, 1);
/// The first version that is a DMS by its number alone.
pub const FIRST_DMS: u64 = 8;

impl Product {
    /// Which API a discovery document is of. That of a DMS has neither `suite` nor `build`, but tells where tokens are explained, or the
    /// application's name (VersionController of the ODS/API, DiscoveryEndpointModule of the DMS).
    pub fn of_discovery(discovery: &Value) -> Product {
        let numbers = discovery["version"].as_str().map(|version| version.trim_start_matches('v').split('.'));
        let mut numbers = numbers.into_iter().flatten().map(|number| number.parse::<u64>().ok());
        let version = numbers.next().flatten().map(|major| (major, numbers.next().flatten().unwrap_or(0)));
        let is_ods = ["suite", "build"].iter().any(|name| !discovery[name].is_null());
        let is_dms = discovery["applicationName"].is_string() || discovery["urls"]["tokenInfo"].is_string();
        match version {
            _ if !is_ods && is_dms => Product::Dms,
            Some((major, _)) if !is_ods && major >= FIRST_DMS => Product::Dms,
            Some(version) if version >= TOLERANT => Product::Ods,
            Some(_) => Product::OlderOds,
            None => Product::Unknown,
        }
    }

    /// What it takes and refuses. Each fact has its source in a test of `tests/it/tolerance.rs`.
    pub fn tolerance(self) -> Tolerance {
        let documents = Tolerance::default();
        match self {
            Product::Unknown => documents,
            Product::OlderOds => Tolerance { refuses_markup: true, ..documents },
            Product::Ods => {
                Tolerance { empty_optional_text: true, time_in_date: true, refuses_markup: true, ..documents }
            }
            Product::Dms => Tolerance {
                time_in_date: true,
                dates_with_slashes: true,
                scalars_as_text: true,
                refuses_outer_blanks: true,
                ..documents
            },
        }
    }
}

/// How an API departs from its documents. The default: not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tolerance {
    /// It takes `""` in an optional string, whatever its least length.
    pub empty_optional_text: bool,
    /// It takes a date with a time for the date.
    pub time_in_date: bool,
    /// It takes `1/2/2010` for a date: month and day, or day and month where the first cannot be a month.
    pub dates_with_slashes: bool,
    /// It takes `"true"` and `"30"` for a boolean and a number.
    pub scalars_as_text: bool,
    /// It refuses strings that begin or end with a blank.
    pub refuses_outer_blanks: bool,
    /// It wants seconds and an offset in a date and time, as RFC 3339 does. No API does that, but the documents do.
    pub exact_times: bool,
    /// It refuses strings that look like markup: `<` before a letter or one of `!/?`, and `&#`.
    pub refuses_markup: bool,
}

impl Tolerance {
    /// The same API, but what its documents forbid is forbidden.
    pub fn strict(self) -> Tolerance {
        let Tolerance { refuses_outer_blanks, refuses_markup, .. } = self;
        Tolerance { refuses_outer_blanks, refuses_markup, exact_times: true, ..Tolerance::default() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_discovery_document_tells_which_api_it_is() {
        let cases = [
            (json!({"version": "5.3", "suite": "3", "build": "5.3.1146.0"}), Product::OlderOds),
            (json!({"version": "7.0", "suite": "3"}), Product::OlderOds),
            (json!({"version": "7.1", "suite": "3"}), Product::Ods),
            (json!({"version": "7.3.1", "suite": "3", "applicationName": "Ed-Fi ODS API"}), Product::Ods),
            (json!({"version": "10.0", "build": "10"}), Product::Ods),
            (json!({"version": "8.0", "applicationName": "Ed-Fi API"}), Product::Dms),
            (json!({"version": "8.0"}), Product::Dms),
            (json!({"version": "0.6", "urls": {"tokenInfo": "https://x/oauth/token_info"}}), Product::Dms),
            (json!({"version": "soon", "suite": "3"}), Product::Unknown),
            (json!({}), Product::Unknown),
        ];
        for (discovery, product) in cases {
            assert_eq!(Product::of_discovery(&discovery), product, "{discovery}");
        }
    }

    #[test]
    fn only_ods_7_1_and_dms_take_more_than_their_documents_and_none_does_when_strict() {
        for product in [Product::Unknown, Product::OlderOds, Product::Ods, Product::Dms] {
            let (tolerance, strict) = (product.tolerance(), product.tolerance().strict());
            let is_as_documents = Tolerance { exact_times: true, ..tolerance } == strict;
            assert_eq!(is_as_documents, matches!(product, Product::Unknown | Product::OlderOds), "{product:?}");
            assert_eq!(tolerance.refuses_markup, strict.refuses_markup);
            assert_eq!(tolerance.refuses_outer_blanks, strict.refuses_outer_blanks);
        }
    }
}
