//! A refusal as data, and what it means for the payload and its resource.

use crate::outcome::Reason;

/// Why the API did not do what it was asked: data, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The `type` of ODS 7.2 and later and of DMS, such as `urn:ed-fi:api:data-conflict:unresolved-reference`.
    pub problem_type: Option<String>,
    /// By which the host's log knows the request.
    pub correlation_id: Option<String>,
    /// What the API says, most specific first, each on one line; never empty.
    pub messages: Vec<String>,
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
        Reason { status: Some(self.status), kind: Some(self.kind()), problem_type, message: self.text() }
    }

    /// Of a payload that was refused in an earlier run, where no more is known of that.
    pub fn earlier(status: u16) -> Refusal {
        let messages = vec!["refused in an earlier run".into()];
        Refusal { status, problem_type: None, correlation_id: None, messages }
    }

    /// What it is about.
    pub fn kind(&self) -> RefusalKind {
        match self.status {
            _ if self.is_of_resource() => RefusalKind::Resource,
            _ if self.order_may_cure() => RefusalKind::Order,
            401 | 403 => RefusalKind::Caller,
            500.. => RefusalKind::Moment,
            _ => RefusalKind::Payload,
        }
    }

    /// Whether it speaks of the resource and not of the payload: the caller may not write it, or there is none of that name here (Ed-Fi's
    /// error-response knowledge base). That a descriptor's namespace is somebody else's is no such refusal.
    pub fn is_of_resource(&self) -> bool {
        let kind = self.problem_type.as_deref().unwrap_or_default();
        matches!(self.status, 404 | 405) || (self.status == 403 && kind.contains(":authorization:access-denied"))
    }

    /// Whether the same payload may be taken later, once others have been: what it refers to is missing, or the association
    /// through which the caller may see a person is. By the problem's type where there is one (ODS 7.2 and later, DMS), else by the texts of
    /// ODS/API 5.3 to 7.1.
    pub fn order_may_cure(&self) -> bool {
        let says = |text: &str| self.messages.iter().any(|m| m.to_lowercase().contains(text));
        let kind = self.problem_type.as_deref();
        match self.status {
            409 => kind.map_or_else(|| says("does not exist"), |kind| kind.ends_with(":unresolved-reference")),
            400 => says("reference could not be resolved"),
            403 => {
                (says("relationship") || says("you may need to create"))
                    && !kind.is_some_and(|kind| kind.contains(":access-denied"))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::api::reply::{Reply, refusal};

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
