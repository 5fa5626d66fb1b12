//! Answers requests: documents, tokens, data with its faults, and what the sandbox has seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::Options;
use super::answer::Answer;
use super::caller::Caller;
use super::data::Data;
use super::fault::{self, Fault, Page, Restart};
use super::http::Request;
use super::library::Library;
use super::metadata::Metadata;
use super::problem::Problem;
use super::stop::Stop;
use super::token::Tokens;
use super::watch::Watch;

const DATA: &str = "/data/v3/";
const CHANGE_VERSIONS: &str = "/changeQueries/v1/availableChangeVersions";

/// Everything that answers.
pub struct Service {
    options: Options,
    base: String,
    library: Library,
    tokens: Tokens,
    data: Data,
    /// How many problems were named by the sandbox because their request had no correlation id.
    problems: AtomicU64,
    /// When nobody answers.
    pub restart: Restart,
    /// What was seen.
    pub watch: Watch,
    /// Whether to stop.
    pub stop: Arc<Stop>,
}

/// What comes after a request.
#[derive(Debug, PartialEq)]
pub enum After {
    /// The answer, then the next request.
    Next,
    /// The answer, then the end of the connection.
    Close,
    /// The end of the connection, without an answer.
    Cut,
    /// Nothing, ever.
    Hang,
}

impl Service {
    /// At the address `base`, such as `http://127.0.0.1:8765`.
    pub fn new(options: Options, metadata: Metadata, caller: Arc<Caller>, base: String, stop: Arc<Stop>) -> Service {
        Service {
            tokens: Tokens::new(options.credentials.clone(), options.token_lifetime),
            data: Data::new(&metadata, &options, caller.clone()),
            restart: Restart::new(&options),
            watch: Watch::new(options.record),
            problems: AtomicU64::new(0),
            library: Library::new(metadata, base.clone(), !options.no_cursor, caller),
            base,
            options,
            stop,
        }
    }

    /// Answers `request` on `wire`.
    pub fn answer(&self, request: &Request<'_>, wire: &mut Vec<u8>) -> After {
        if self.restart.is_down() {
            return After::Cut;
        }
        let after = if request.closes { After::Close } else { After::Next };
        let answer = match request.path.strip_prefix(DATA) {
            Some(path) => match self.data(request, path) {
                Ok(answer) => answer,
                Err(unanswered) => return unanswered,
            },
            None => self.other(request),
        };
        answer.write(&self.base, request.closes, wire);
        after
    }

    /// Answers what is not HTTP, before the connection ends.
    pub fn refuse(&self, problem: &Problem, wire: &mut Vec<u8>) {
        problem.answer(self.options.shape, "").write(&self.base, true, wire);
    }

    fn other(&self, request: &Request<'_>) -> Answer<'_> {
        match (request.method, request.path) {
            ("POST", "/oauth/token") => self.tokens.answer(request),
            ("POST", "/oauth/token_info") => match self.tokens.check(request.authorization, Instant::now()) {
                Ok(()) => self.tokens.introspect(request, |client| self.data.token_info(client)),
                Err(why) => self.problem(&Problem::Unauthenticated(why), request),
            },
            (_, "/oauth/token" | "/oauth/token_info") => self.problem(&Problem::MethodNotAllowed, request),
            ("GET", fault::SIGN_IN) => Page::SignIn.answer(),
            ("GET", "/sandbox/stats") => {
                Answer::json(200, self.watch.stats(self.tokens.count()).to_string().into_bytes())
            }
            ("GET", "/sandbox/requests") => Answer::json(200, self.watch.requests().to_string().into_bytes()),
            ("GET", CHANGE_VERSIONS) => match self.tokens.check(request.authorization, Instant::now()) {
                Ok(()) => self.data.change_versions(),
                Err(why) => self.problem(&Problem::Unauthenticated(why), request),
            },
            ("GET", path) => match self.library.get(path) {
                Some(document) if request.if_none_match == Some(&format!("\"{}\"", document.etag)) => {
                    Answer { etag: Some(document.etag), ..Answer::empty(304) }
                }
                Some(document) => Answer { etag: Some(document.etag), ..Answer::json(200, &document.body[..]) },
                None => self.problem(&Problem::NotFound, request),
            },
            _ => self.problem(&Problem::NotFound, request),
        }
    }

    /// Answers a data request, or does not.
    fn data(&self, request: &Request<'_>, path: &str) -> Result<Answer<'_>, After> {
        let visit = self.watch.enter();
        let settle = |status: Option<u16>, stored: bool| {
            visit.settle(status, stored, || {
                let resource = self.data.route(path).map_or(path, |call| call.path);
                (request.method.to_owned(), resource.to_owned(), request.body.to_vec())
            });
        };
        if self.restart.begins_at(visit.number) {
            settle(None, false);
            return Err(After::Cut);
        }
        let crowded = self.options.max_concurrent.is_some_and(|most| visit.concurrent > most);
        if !crowded && !self.options.latency.is_zero() {
            self.stop.sleep(self.options.latency);
        }
        let fault = if crowded {
            Some(Fault::Refuse(Problem::TooManyRequests))
        } else {
            fault::at(visit.number, &self.options)
        };
        let reached = fault.is_none();
        let answer = match fault {
            None => self.carry_out(request, path),
            Some(Fault::Refuse(problem)) => {
                let retry_after = self.options.retry_after.filter(|_| problem != Problem::System);
                Answer { retry_after, ..self.problem(&problem, request) }
            }
            Some(Fault::Gateway(page)) => page.answer(),
            Some(Fault::Cut { carried_out }) => {
                let stored = carried_out && is_stored(request, &self.carry_out(request, path));
                settle(None, stored);
                return Err(After::Cut);
            }
            Some(Fault::Hang) => {
                settle(None, false);
                return Err(After::Hang);
            }
        };
        settle(Some(answer.status), reached && is_stored(request, &answer));
        Ok(answer)
    }

    fn carry_out(&self, request: &Request<'_>, path: &str) -> Answer<'_> {
        let answer = match self.tokens.check(request.authorization, Instant::now()) {
            Err(why) => Err(Problem::Unauthenticated(why)),
            Ok(()) => self.data.route(path).ok_or(Problem::NotFound).and_then(|call| self.data.answer(&call, request)),
        };
        answer.unwrap_or_else(|problem| self.problem(&problem, request))
    }

    fn problem(&self, problem: &Problem, request: &Request<'_>) -> Answer<'static> {
        let own = || format!("sandbox-{}", self.problems.fetch_add(1, Ordering::Relaxed) + 1);
        let correlation_id = request.correlation_id.map_or_else(own, str::to_owned);
        problem.answer(self.options.shape, &correlation_id)
    }
}

fn is_stored(request: &Request<'_>, answer: &Answer<'_>) -> bool {
    request.method == "POST" && matches!(answer.status, 200 | 201)
}
