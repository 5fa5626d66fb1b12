//! Finds items and shows them: pages of a collection, one after the other or side by side.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::Data;
use crate::check::{Notes, Reference};
use crate::edfi::key::text;
use crate::sandbox::answer::{Answer, JSON};
use crate::sandbox::http::Request;
use crate::sandbox::paging::{Asked, partitions};
use crate::sandbox::problem::Problem;
use crate::sandbox::profiles::{Applied, Usage};
use crate::sandbox::query;
use crate::sandbox::show::Shown;
use crate::sandbox::store::{Stored, identify};

impl Data {
    /// An item as the API shows it.
    fn shown(&self, position: usize, id: u128, stored: &Stored, under: Option<Applied<'_>>) -> Vec<u8> {
        let definition = &self.model.definitions()[position];
        let mut notes = Notes::without_unknown();
        self.checkers.get(&definition.resource).iter().for_each(|checker| checker.check(&stored.body, &mut notes));
        let link = |reference: &Reference<'_>| {
            let found = reference.to.targets.iter().find_map(|target| {
                let position = *self.routes.get(&*target.to_string())?;
                let id = identify(target, reference.key);
                self.store.holds(position, id).then_some((&self.model.definitions()[position], id))
            });
            let (target, id) = found?;
            Some((notes.path(reference.place), (target.body.entity(), &target.resource, id)))
        };
        let links = notes.references.iter().filter_map(link).collect();
        let mut body = Vec::with_capacity(stored.body.len() * 2);
        let hidden = under.map(|applied| applied.hidden);
        Shown { schema: &definition.body, hidden, links }.write(id, stored, &mut body);
        body
    }

    /// A page of what the query asks for.
    pub(super) fn find(&self, position: usize, request: &Request<'_>) -> Result<Answer<'_>, Problem> {
        let under = self.read_under(position, request)?;
        let pairs = query::pairs(request.query);
        let mut asked = Asked::read(&pairs, self.cursor)?;
        if asked.offset > 0 {
            let number = self.pages.fetch_add(1, Ordering::Relaxed) + 1;
            // As though one had come before it since the page before was answered.
            asked.offset -= usize::from(self.shift.is_some_and(|every| number.is_multiple_of(every)));
        }
        let found = self.matching(position, &pairs, asked.arrivals.clone());
        let mut body = b"[".to_vec();
        let mut last = None;
        for id in found.iter().skip(asked.offset).take(asked.limit) {
            // One that was deleted since is passed over.
            let Some(stored) = self.store.get(position, *id) else { continue };
            if body.len() > 1 {
                body.push(b',');
            }
            body.extend_from_slice(&self.shown(position, *id, &stored, under));
            last = Some(stored.arrival);
        }
        body.push(b']');
        Ok(Answer {
            total_count: asked.counts.then_some(found.len()),
            next_page_token: last.filter(|_| self.cursor).map(|last| asked.after(last)),
            content_type: self.read_as(position, under),
            ..Answer::json(200, body)
        })
    }

    /// One item.
    pub(super) fn item(&self, position: usize, id: u128, request: &Request<'_>) -> Result<Answer<'_>, Problem> {
        let under = self.read_under(position, request)?;
        let stored = self.store.get(position, id).ok_or(Problem::NotFound)?;
        let answer = Answer::json(200, self.shown(position, id, &stored, under));
        Ok(Answer { etag: Some(stored.version), content_type: self.read_as(position, under), ..answer })
    }

    /// The profile under which an item is shown.
    fn read_under(&self, position: usize, request: &Request<'_>) -> Result<Option<Applied<'_>>, Problem> {
        self.caller.profiles.applied(position, &self.model.definitions()[position], Usage::Readable, request.accept)
    }

    /// The media type of what is shown.
    fn read_as(&self, position: usize, under: Option<Applied<'_>>) -> Cow<'static, str> {
        let media_type = |applied: Applied<'_>| {
            applied.profile.media_type(&self.model.definitions()[position], Usage::Readable).into()
        };
        under.map_or(JSON.into(), media_type)
    }

    /// Where to begin so that several clients, or workers of one, read the whole side by side.
    pub(super) fn partitions(&self, position: usize, query: &str) -> Result<Answer<'_>, Problem> {
        let pairs = query::pairs(query);
        let found = self.matching(position, &pairs, 0..u64::MAX);
        let arrivals = found.iter().filter_map(|id| Some(self.store.get(position, *id)?.arrival)).collect();
        let tokens = json!({ "pageTokens": partitions(&pairs, arrivals)? });
        Ok(Answer::json(200, tokens.to_string().into_bytes()))
    }

    /// The ids of the items that came at these places and that the query asks for. As in a real API, what is no parameter of the resource
    /// is passed over.
    fn matching(&self, position: usize, pairs: &[(String, String)], arrivals: Range<u64>) -> Vec<u128> {
        let definition = &self.model.definitions()[position];
        let asked = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let filters: Vec<_> = definition.parameters.iter().filter_map(|p| Some((p, asked(&p.name)?))).collect();
        let id = asked("id").map(|id| u128::from_str_radix(id, 16).unwrap_or_default());
        let version = |name: &str| pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?.1.parse::<u64>().ok();
        let (least, most) = (version("minChangeVersion"), version("maxChangeVersion"));
        if filters.is_empty() && id.is_none() && least.is_none() && most.is_none() {
            return self.store.ids(position, arrivals);
        }
        let checker = self.checkers.get(&definition.resource);
        let candidates = match checker.and_then(|checker| checker.key(asked)) {
            Some(key) => vec![identify(&definition.resource, key.strict)],
            None => self.store.ids(position, arrivals.clone()),
        };
        let matches = |candidate: &u128| {
            let Some(stored) = self.store.get(position, *candidate) else { return false };
            let payload: Value = serde_json::from_slice(&stored.body).unwrap_or_default();
            arrivals.contains(&stored.arrival)
                && id.is_none_or(|id| id == *candidate)
                && least.is_none_or(|least| stored.version >= least)
                && most.is_none_or(|most| stored.version <= most)
                && filters.iter().all(|(parameter, value)| {
                    parameter
                        .values(&payload)
                        .next()
                        .and_then(|(_, held)| text(held))
                        .is_some_and(|held| held == *value)
                })
        };
        candidates.into_iter().filter(matches).collect()
    }
}
