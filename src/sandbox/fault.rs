//! What goes wrong on purpose, and when.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::Options;
use super::answer::Answer;
use super::problem::Problem;

/// Where the sandbox's gateway wants people to sign in.
pub const SIGN_IN: &str = "/login";
/// The page there.
const SIGN_IN_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\n<body><h1>Sign in to continue</h1>\n\
                            <p>lightbeam's sandbox plays a gateway.</p></body></html>\n";
const BAD_GATEWAY_PAGE: &str = "<html>\n<head><title>502 Bad Gateway</title></head>\n<body><h1>502 Bad Gateway</h1>\n\
                                <p>lightbeam's sandbox plays a gateway.</p></body>\n</html>\n";

/// What goes wrong with a request.
#[derive(Debug, PartialEq)]
pub enum Fault {
    /// It is never answered.
    Hang,
    /// The connection is cut instead of an answer.
    Cut {
        /// Whether the request is carried out first.
        carried_out: bool,
    },
    /// It is refused.
    Refuse(Problem),
    /// A gateway answers in the API's place, and the request does not reach the API.
    Gateway(Page),
}

/// What a gateway answers.
#[derive(Debug, PartialEq)]
pub enum Page {
    /// 502 with a page in HTML.
    BadGateway,
    /// A page to sign in at, called a success.
    SignIn,
    /// 302, which leads to that page.
    Redirect,
}

impl Page {
    /// It as an answer.
    pub fn answer(&self) -> Answer<'static> {
        match self {
            Page::BadGateway => Answer::page(502, BAD_GATEWAY_PAGE),
            Page::SignIn => Answer::page(200, SIGN_IN_PAGE),
            Page::Redirect => Answer { redirect: Some(SIGN_IN), ..Answer::empty(302) },
        }
    }
}

/// What goes wrong with data request `number` (from 1). Every N-th is counted over all connections; where several faults fall
/// on one request, the first of hang, cut, a page, a redirect, 429, 500, 503 happens. Every second cut comes after the request is carried
/// out, and every second page is called a success.
pub fn at(number: u64, options: &Options) -> Option<Fault> {
    let round = |every: Option<u64>| {
        every.filter(|every| *every > 0 && number.is_multiple_of(*every)).map(|every| number / every)
    };
    round(options.hang)
        .map(|_| Fault::Hang)
        .or_else(|| round(options.cut).map(|round| Fault::Cut { carried_out: round.is_multiple_of(2) }))
        .or_else(|| {
            let page = |round: u64| if round.is_multiple_of(2) { Page::SignIn } else { Page::BadGateway };
            round(options.fail_html).map(page).map(Fault::Gateway)
        })
        .or_else(|| round(options.fail_302).map(|_| Fault::Gateway(Page::Redirect)))
        .or_else(|| round(options.fail_429).map(|_| Fault::Refuse(Problem::TooManyRequests)))
        .or_else(|| round(options.fail_500).map(|_| Fault::Refuse(Problem::System)))
        .or_else(|| round(options.fail_503).map(|_| Fault::Refuse(Problem::Unavailable)))
}

/// One time at which nobody answers, as while a server starts again. What was stored stays.
pub struct Restart {
    /// It begins after so many data requests.
    after: Option<u64>,
    lasts: Duration,
    began: OnceLock<Instant>,
}

impl Restart {
    /// What these options ask for.
    pub fn new(options: &Options) -> Restart {
        Restart { after: options.restart_after, lasts: options.restart_for, began: OnceLock::new() }
    }

    /// Data request `number` (from 1) came: whether it is the one at which nobody answers any more.
    pub fn begins_at(&self, number: u64) -> bool {
        self.after.is_some_and(|after| number > after) && self.began.set(Instant::now()).is_ok()
    }

    /// Whether nobody answers now.
    pub fn is_down(&self) -> bool {
        self.began.get().is_some_and(|began| began.elapsed() < self.lasts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_at_every_nth_request_the_gravest_first() {
        let options =
            Options { hang: Some(10), cut: Some(5), fail_429: Some(3), fail_500: Some(4), ..Options::default() };
        let faults: Vec<_> = (1..=20).map(|number| at(number, &options)).collect();
        assert_eq!(faults[0], None);
        assert_eq!(faults[2], Some(Fault::Refuse(Problem::TooManyRequests)));
        assert_eq!(faults[3], Some(Fault::Refuse(Problem::System)));
        assert_eq!(faults[4], Some(Fault::Cut { carried_out: false }));
        assert_eq!(faults[9], Some(Fault::Hang));
        assert_eq!(faults[11], Some(Fault::Refuse(Problem::TooManyRequests)));
        let cuts = Options { cut: Some(1), ..Options::default() };
        assert_eq!([at(1, &cuts), at(2, &cuts)], [false, true].map(|carried_out| Some(Fault::Cut { carried_out })));
        assert_eq!(at(5, &Options { cut: Some(0), ..Options::default() }), None);
        let pages = Options { fail_html: Some(2), fail_302: Some(3), ..Options::default() };
        let pages = [2, 3, 4, 6].map(|number| at(number, &pages));
        assert_eq!(
            pages,
            [Page::BadGateway, Page::Redirect, Page::SignIn, Page::BadGateway].map(|page| Some(Fault::Gateway(page)))
        );
    }

    #[test]
    fn a_restart_comes_once_and_ends() {
        let restart =
            |lasts| Restart::new(&Options { restart_after: Some(3), restart_for: lasts, ..Options::default() });
        let long = restart(Duration::MAX);
        assert_eq!([3, 5, 4].map(|number| long.begins_at(number)), [false, true, false]);
        assert!(long.is_down());
        let over = restart(Duration::ZERO);
        assert!(!over.is_down() && over.begins_at(4) && !over.is_down() && !over.begins_at(5));
    }
}
