//! A refusal as data, and what it means for the payload and its resource.

use crate::outcome::Reason;

/// Why the API did not do what it was asked: data, not an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The `type` of ODS 7.2 and later and of DMS, such as `urn:ed-fi:api:data-conflict:unresolved-reference`.
    pub problem_type: Option<String>,
    /// By which the host's log knows the request.
    pub correlation_id: Option<String>,
    /// What the API says, most specific first, each on one line; never empty.
    pub messages: Vec<String>,
    /// The answer shows that no Ed-Fi API gave it ([`super::origin`]).
    pub foreign: bool,
    /// The body had nothing in it.
    pub silent: bool,
    /// The messages are the list of faults that ODS/API 7.2 and later and DMS give.
    pub listed: bool,
    /// The API took another payload of the same resource in this run, so that it does not refuse the resource as a whole.
    pub others_accepted: bool,
}

/// What a refusal is about. It decides how the refusal counts, and when the payload is due again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalKind {
    /// The payload itself: 400, 413, 415 of one payload. The same text will be refused again.
    Payload,
    /// What it refers to is missing, or the association through which the caller may see a person is.
    Order,
    /// The caller may not do this: claims, profile, wrong key.
    Caller,
    /// It met a race, a deadlock or a failure of the server. The same text may be accepted later.
    Moment,
    /// No Ed-Fi API gave this answer, but a firewall, a gateway or a sign-in page.
    Site,
    /// The whole resource is refused, whatever the payload.
    Resource,
}

impl RefusalKind {
    /// As results and reasons write it.
    pub fn name(self) -> &'static str {
        match self {
            RefusalKind::Payload => "payload",
            RefusalKind::Order => "order",
            RefusalKind::Caller => "caller",
            RefusalKind::Moment => "moment",
            RefusalKind::Site => "site",
            RefusalKind::Resource => "resource",
        }
    }
}

impl Refusal {
    /// The messages on one line.
    pub fn text(&self) -> String {
        self.messages.join("; ")
    }

    /// What the books keep of it.
    pub fn reason(&self) -> Reason {
        let problem_type = self.problem_type.clone();
        let (status, kind, listed) = (Some(self.status), Some(self.kind()), self.listed);
        Reason { status, kind, problem_type, message: self.text(), listed }
    }

    /// Of a payload that was refused in an earlier run, where no more is known of that.
    pub fn earlier(status: u16) -> Refusal {
        let messages = vec!["refused in an earlier run".into()];
        Refusal { status, messages, ..Refusal::default() }
    }

    /// What it is about: by the problem's type where there is one (ODS 7.2 and later, DMS), else by the texts of ODS/API 5.3 to 7.1 and
    /// of Meadowlark. The one place that decides it.
    pub fn kind(&self) -> RefusalKind {
        self.kind_among(self.others_accepted)
    }

    /// The same; `others_accepted` tells whether the API took other payloads of the resource in this run.
    pub fn kind_among(&self, others_accepted: bool) -> RefusalKind {
        use RefusalKind::{Caller, Moment, Order, Payload, Resource, Site};
        if self.foreign {
            return Site;
        }
        let unless_others = |one: RefusalKind| if others_accepted { one } else { Resource };
        match self.status {
            400 if self.is_deadlock() => Moment,
            400 if self.says("reference could not be resolved") || self.says("reference validation failed") => Order,
            400 if self.is_type(":profile:") || self.is_type(":data-policy:") => Caller,
            401 => Caller,
            403 if self.misses_relationship() => Order,
            403 if self.is_of_namespace() => Caller,
            403 if self.is_without_access() => unless_others(Caller),
            403 => Caller,
            404 | 405 => Resource,
            409 if self.is_race() => Moment,
            409 if self.is_type(":non-unique-values") || self.says("not unique.") => Payload,
            // Also of types that are not known yet: once others have arrived, it may be taken.
            409 => Order,
            408 | 412 | 429 | 500.. => Moment,
            415 => unless_others(Payload),
            _ => Payload,
        }
    }

    /// Whether it speaks of the resource and not of the payload: the caller may not write it, or there is none of that name here (Ed-Fi's
    /// error-response knowledge base). That a descriptor's namespace is somebody else's is no such refusal.
    pub fn is_of_resource(&self) -> bool {
        self.kind() == RefusalKind::Resource
    }

    /// Whether the same payload may be taken later, once others have been: what it refers to is missing, or the association
    /// through which the caller may see a person is.
    pub fn order_may_cure(&self) -> bool {
        self.kind() == RefusalKind::Order
    }

    /// Whether the API failed here as it did there, but for ids, numbers and times of the moment.
    pub fn is_like(&self, other: &Refusal) -> bool {
        let words = |refusal: &Refusal| -> Vec<String> {
            let steady = |word: &&str| !word.contains(|c: char| c.is_ascii_digit());
            refusal.text().split_whitespace().filter(steady).map(String::from).collect()
        };
        (self.status, &self.problem_type) == (other.status, &other.problem_type) && words(self) == words(other)
    }

    /// Whether the namespace of the payload is one that the caller may not write.
    pub fn is_of_namespace(&self) -> bool {
        self.status == 403
            && (self.is_type(":namespace:") || self.says("namespaceprefix") || self.says("namespace prefix"))
    }

    /// Whether it met another request for the same record, so that a repetition soon is likely to be taken.
    pub fn is_race(&self) -> bool {
        match self.status {
            409 => {
                self.silent
                    || [":multi-user-conflict", ":non-unique-identity", ":identity-conflict"]
                        .iter()
                        .any(|kind| self.is_type(kind))
                    || (self.problem_type.is_none() && self.says("natural key conflict"))
            }
            412 => true,
            400 => self.is_deadlock(),
            _ => false,
        }
    }

    /// Whether a database gave up on a transaction: SQLSTATE 40P01 (deadlock), 40001 (serialization), 57014 (timeout), in the forms in which
    /// Npgsql and PostgreSQL write them. The digits alone occur in ids.
    fn is_deadlock(&self) -> bool {
        const STATES: [&str; 3] = ["40p01", "40001", "57014"];
        let tells = |text: String| {
            let stated = |state: &str| {
                let before = |at: usize| text[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric());
                let written = |form: &str| text.match_indices(form).any(|(at, _)| before(at));
                written(&format!("{state}: "))
                    || written(&format!("sqlstate {state}"))
                    || written(&format!("sqlstate: {state}"))
            };
            text.contains("deadlock detected") || STATES.iter().any(|state| stated(state))
        };
        self.lowered().any(tells)
    }

    fn misses_relationship(&self) -> bool {
        (self.says("relationship") || self.says("you may need to create"))
            && !self.is_type(":access-denied")
            && !self.is_type(":data-policy:")
    }

    fn is_without_access(&self) -> bool {
        match &self.problem_type {
            Some(kind) => kind.contains(":access-denied") || kind.contains(":data-policy:"),
            // ODS/API up to 7.1; of one item it speaks as "the resource item".
            None => self.says("access to the resource could not be authorized"),
        }
    }

    fn is_type(&self, part: &str) -> bool {
        self.problem_type.as_deref().is_some_and(|kind| kind.contains(part))
    }

    fn says(&self, text: &str) -> bool {
        self.lowered().any(|message| message.contains(text))
    }

    /// The messages in lower case, as far as what an API says of itself may reach: a hostile one can be long, and is looked at often.
    fn lowered(&self) -> impl Iterator<Item = String> {
        const LONGEST: usize = 8 * 1024;
        let end = |message: &String| (0..=LONGEST.min(message.len())).rev().find(|at| message.is_char_boundary(*at));
        self.messages.iter().map(move |message| message[..end(message).unwrap_or_default()].to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::RefusalKind::{self, *};
    use crate::api::reply::{Reply, refusal};

    fn kind(status: u16, body: &str) -> RefusalKind {
        refusal(&Reply { status, body: body.into(), ..Reply::default() }).kind()
    }

    /// Of a body that has this type and nothing else.
    fn typed(status: u16, kind: &str) -> RefusalKind {
        self::kind(status, &format!(r#"{{"type":"urn:ed-fi:api:{kind}","title":"No","status":{status}}}"#))
    }

    #[test]
    fn each_answer_has_the_kind_that_the_table_of_refusals_gives_it() {
        for (status, kind, expected) in [
            (400, "bad-request:data-validation-failed", Payload),
            (400, "bad-request:data-validation-failed:key-change-not-supported", Payload),
            (400, "profile:invalid-profile-usage", Caller),
            (413, "payload-too-large", Payload),
            (422, "unprocessable", Payload),
            (401, "security:authentication", Caller),
            (403, "security:authorization", Caller),
            (403, "security:authorization:namespace:access-denied:namespace-mismatch", Caller),
            (403, "security:authorization:access-denied:action", Resource),
            (403, "security:authorization:access-denied:resource", Resource),
            (403, "security:data-policy:incorrect-usage", Resource),
            (404, "not-found", Resource),
            (405, "method-not-allowed", Resource),
            (415, "unsupported-media-type", Resource),
            (409, "data-conflict:unresolved-reference", Order),
            (409, "data-conflict:something-new", Order),
            (409, "data-conflict:dependent-item-exists", Order),
            (409, "data-conflict:non-unique-values", Payload),
            (409, "data-conflict:non-unique-identity", Moment),
            (409, "data-conflict:multi-user-conflict", Moment),
            (409, "identity-conflict", Moment),
            (412, "optimistic-lock-failed", Moment),
            (429, "too-many-requests", Moment),
            (500, "system", Moment),
            (501, "system", Moment),
        ] {
            assert_eq!(typed(status, kind), expected, "{status} {kind}");
        }
        assert_eq!(kind(409, ""), Moment, "a conflict without a body is a race");
        assert_eq!(kind(302, ""), Site);
        assert_eq!(kind(404, "<html>no such page</html>"), Site);
        assert_eq!(kind(413, "<html>Request Entity Too Large</html>"), Payload);
    }

    #[test]
    fn the_texts_of_older_generations_have_the_same_kinds() {
        for (status, message, expected) in [
            (
                409,
                "A natural key conflict occurred when attempting to create a new resource 'X' with a duplicate key.",
                Moment,
            ),
            (409, "The value(s) (1) supplied for property 'A' of entity 'B' is not unique.", Payload),
            (409, "The value(s) (1, 2) supplied for properties of entity 'B' are not unique.", Payload),
            (409, "The value supplied for the related 'student' resource does not exist.", Order),
            (403, "Access to the resource could not be authorized for the requested action 'Create'.", Resource),
            (
                403,
                "Access to the resource item could not be authorized based on the caller's NamespacePrefix claims: 'uri://x'.",
                Caller,
            ),
            (400, "Student reference could not be resolved.", Order),
            (412, "Resource was modified by another consumer.", Moment),
        ] {
            assert_eq!(kind(status, &format!(r#"{{"message":"{message}"}}"#)), expected, "{message}");
        }
    }

    #[test]
    fn meadowlarks_nested_errors_are_read_and_its_missing_references_are_a_matter_of_order() {
        let body = r#"{"error":{"message":"Reference validation failed","failures":[{"resourceName":"School","identity":{"schoolId":"123"}}]}}"#;
        for status in [409, 400] {
            assert_eq!(kind(status, body), Order);
        }
    }

    #[test]
    fn a_database_deadlock_is_told_by_its_written_form_and_never_by_bare_digits() {
        let of = |text: &str| {
            kind(400, &format!(r#"{{"type":"urn:ed-fi:api:bad-request:data-validation-failed","errors":["{text}"]}}"#))
        };
        for text in [
            "40P01: deadlock detected",
            "Npgsql.PostgresException (0x80004005): 40001: could not serialize access due to concurrent update",
            "57014: canceling statement due to statement timeout",
            "ERROR: gone (SQLSTATE 40P01)",
            "Deadlock detected by the database",
        ] {
            assert_eq!(of(text), Moment, "{text}");
        }
        for text in ["School 40001 is not known", "The id 57014 is wrong", "1040001: no such id", "40001", "A40P01: x"]
        {
            assert_eq!(of(text), Payload, "{text}");
        }
    }

    #[test]
    fn what_is_refused_while_others_of_its_resource_are_accepted_is_about_the_payload_or_the_caller() {
        let with_others = |status, kind: &str| {
            let body = format!(r#"{{"type":"urn:ed-fi:api:{kind}"}}"#).into();
            let refusal = refusal(&Reply { status, body, ..Reply::default() });
            super::Refusal { others_accepted: true, ..refusal }.kind()
        };
        assert_eq!(with_others(415, "unsupported-media-type"), Payload);
        assert_eq!(with_others(403, "security:authorization:access-denied:action"), Caller);
        assert_eq!(with_others(404, "not-found"), Resource);
    }

    fn curable(status: u16, body: &str) -> bool {
        refusal(&Reply { status, body: body.into(), ..Reply::default() }).order_may_cure()
    }

    #[test]
    fn order_may_cure_a_missing_reference_and_a_missing_relationship_of_every_generation() {
        assert!(curable(
            409,
            r#"{"type":"urn:ed-fi:api:data-conflict:unresolved-reference","detail":"The referenced 'Student' item does not exist."}"#
        ));
        assert!(curable(
            409,
            r#"{"type":"urn:ed-fi:api:data-conflict:unresolved-reference","validationErrors":{"$.schoolReference":["gone"]},"errors":[]}"#
        ));
        assert!(curable(409, r#"{"message":"The value supplied for the related 'student' resource does not exist."}"#));
        assert!(curable(400, r#"{"message":"Student reference could not be resolved."}"#));
        assert!(curable(
            403,
            r#"{"type":"urn:ed-fi:api:security:authorization","errors":["No relationships have been established between the caller and the item."]}"#
        ));
        assert!(curable(403, r#"{"message":"Authorization denied. No relationships have been established."}"#));
        assert!(curable(
            403,
            r#"{"detail":"Access could not be authorized. Hint: You may need to create a corresponding 'StudentSchoolAssociation' item."}"#
        ));
    }

    #[test]
    fn order_cures_no_other_refusal() {
        assert!(!curable(
            409,
            r#"{"type":"urn:ed-fi:api:data-conflict:non-unique-identity","detail":"It already exists."}"#
        ));
        assert!(!curable(
            409,
            r#"{"message":"A natural key conflict occurred when attempting to create a new resource."}"#
        ));
        assert!(!curable(
            400,
            r#"{"validationErrors":{"$.termDescriptor":["TermDescriptor value 'x' does not exist."]}}"#
        ));
        assert!(!curable(
            403,
            r#"{"type":"urn:ed-fi:api:security:authorization:access-denied:resource","errors":["No relationships."]}"#
        ));
        assert!(!curable(404, r#"{"detail":"The specified data could not be found."}"#));
    }

    #[test]
    fn a_refusal_of_the_resource_is_told_from_one_of_the_payload() {
        let of_resource = |status, kind: Option<&str>| {
            let kind = kind.map_or(String::new(), |kind| format!(r#"{{"type":"urn:ed-fi:api:{kind}"}}"#));
            refusal(&Reply { status, body: kind.into(), ..Reply::default() }).is_of_resource()
        };
        assert!(of_resource(404, None) && of_resource(405, Some("method-not-allowed")));
        assert!(of_resource(403, Some("security:authorization:access-denied:resource")));
        assert!(of_resource(403, Some("security:authorization:access-denied:action")));
        assert!(!of_resource(403, Some("security:authorization:namespace:access-denied:namespace-mismatch")));
        assert!(!of_resource(403, Some("security:authorization")) && !of_resource(403, None));
        assert!(!of_resource(400, None) && !of_resource(409, Some("data-conflict:unresolved-reference")));
    }
}
