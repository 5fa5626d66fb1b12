//! What becomes known is written down: into the journal first, then into the books, and what is refused to the rejects. One thread at a time.

use std::time::Instant;

use super::{Desk, Load, News, Waiting};
use crate::api::site::ROW;
use crate::clock;
use crate::config::Level;
use crate::digest::Digest;
use crate::error::Result;
use crate::outcome::{Outcome, Verdict};
use crate::rejects::{Letter, Why};
use crate::state::journal;
use crate::state::reasons::Said;
use crate::state::table::{Entry, Standing};

/// So many answers are held besides those that may show that the host is gone.
const HELD: usize = 1_000;

impl Load<'_> {
    /// Enters news into journal and books, and what waits into `waiting`.
    pub(super) fn learn(&self, mut news: Vec<News>, desk: &mut Desk, waiting: &mut Waiting) {
        news.iter_mut().for_each(|news| waiting.learn_in_turn(news));
        if let Err(error) = self.write_down(&news, desk) {
            self.stop_for(&error);
        }
        for news in news {
            match news {
                News::Sifted(mut sifted) => {
                    waiting.parked.append(&mut sifted.later);
                    desk.books.sifted(sifted);
                }
                News::Settled(outcome) | News::Refused(outcome, _) => {
                    if let (Verdict::Unsent(_), Some(keys)) = (&outcome.verdict, outcome.key) {
                        waiting.stuck.insert((outcome.resource, keys.loose));
                    }
                    desk.books.settled(outcome);
                }
                News::Parked(payload) => waiting.parked.push(payload),
                News::Doubted(..) => {}
                News::Held(payload) => waiting.held.push_back(payload),
            }
        }
        // Of what is held, only the last few can be part of a row that shows that the host is gone.
        while waiting.held.len() > ROW as usize + self.pool.current_num_threads() + HELD {
            let Some(first) = waiting.held.pop_front() else { break };
            self.settle(first, waiting, desk);
        }
        self.api.warnings().iter().for_each(|text| desk.observer.log(Level::Warning, text));
        self.api.waits().iter().for_each(|wait| desk.observer.log(Level::Warning, wait));
        if self.interrupt.asked().is_some() && !std::mem::replace(&mut desk.told_to_stop, true) {
            let text = "stopping as soon as the requests under way are answered; ask again to end at once";
            desk.observer.log(Level::Warning, text);
        }
        desk.observer.progress(desk.books.progress());
    }

    /// Brings answers into the journal, and what is refused to the rejects.
    fn write_down(&self, news: &[News], desk: &mut Desk) -> Result<()> {
        let now = clock::unix_now() as u32;
        let mut entries: Vec<(usize, (Digest, Entry))> = Vec::new();
        let mut said: Vec<(usize, (Digest, Said))> = Vec::new();
        for news in news {
            match news {
                News::Sifted(sifted) => {
                    let known = sifted.learned.iter().chain(&sifted.doubts);
                    entries.extend(known.map(|entry| (sifted.resource, *entry)));
                }
                News::Doubted(resource, doubt) => entries.push((*resource, *doubt)),
                News::Settled(outcome) | News::Refused(outcome, _) => {
                    let is_known = self.natural[outcome.resource].is_some();
                    let Some(entry) = entry(outcome, is_known, now) else { continue };
                    entries.push((outcome.resource, entry));
                    entries.extend(self.settled(outcome, entry.1).map(|original| (outcome.resource, original)));
                    if let News::Refused(_, Some(Letter { why: Why::Answer(refusal), .. })) = news {
                        said.push((outcome.resource, (entry.0, Said::of(refusal, self.client_id))));
                    }
                }
                // It is answered for now, so that nothing is in doubt until it is sent again.
                News::Parked(parked) => entries.extend(parked.answered(now).map(|entry| (parked.resource(), entry))),
                News::Held(_) => {}
            }
        }
        // Stable: of one resource they stay in the order in which they became known.
        entries.sort_by_key(|(resource, _)| *resource);
        for batch in entries.chunk_by(|a, b| a.0 == b.0) {
            let number = batch[0].0;
            let of_this = said.extract_if(.., |(resource, _)| *resource == number);
            let said = of_this.map(|(_, said)| said).collect();
            let entries = batch.iter().map(|(_, entry)| *entry).collect();
            let news = journal::News { definition: self.definition(number), entries, said };
            desk.history.record(self.routes[number].resource(), &news);
        }
        desk.history.flush(Instant::now())?;
        let Some(rejects) = &mut desk.rejects else { return Ok(()) };
        for letter in news.iter().flat_map(News::letters) {
            rejects.add(self.routes[letter.resource].resource().label(), letter)?;
        }
        Ok(())
    }

    /// That the mended copy of a payload from a folder of rejects was accepted.
    fn settled(&self, outcome: &Outcome, entry: Entry) -> Option<(Digest, Entry)> {
        let original = self.origins.of(&outcome.place).filter(|original| Some(*original) != outcome.digest)?;
        let accepted = entry.standing == Standing::Accepted;
        accepted.then_some((original, Entry { standing: Standing::Settled, ..entry }))
    }
}

impl Waiting {
    /// Puts in the place of what was learned from a piece what it is the turn of.
    fn learn_in_turn(&mut self, news: &mut News) {
        let News::Sifted(sifted) = news else { return };
        let pieces = self.learned.entry(sifted.resource).or_default();
        pieces.add(sifted.number, std::mem::take(&mut sifted.learned));
        sifted.learned = std::iter::from_fn(|| pieces.next_in_turn()).flatten().collect();
    }
}

impl News {
    /// Whether it must be in the journal before anything else is sent.
    pub(super) fn is_urgent(&self) -> bool {
        match self {
            News::Sifted(sifted) => !sifted.doubts.is_empty(),
            News::Doubted(..) => true,
            News::Settled(_) | News::Refused(..) | News::Parked(_) | News::Held(_) => false,
        }
    }

    fn letters(&self) -> &[Letter] {
        match self {
            News::Sifted(sifted) => &sifted.letters,
            News::Refused(_, letter) => letter.as_slice(),
            News::Settled(_) | News::Parked(_) | News::Held(_) | News::Doubted(..) => &[],
        }
    }
}

/// What the state is to remember: final answers, and that a known payload is due because it was to be sent again and got none. `is_known`: the
/// definition of its resource's natural key is.
fn entry(outcome: &Outcome, is_known: bool, now: u32) -> Option<(Digest, Entry)> {
    let (status, standing) = match &outcome.verdict {
        Verdict::Accepted { status } => (*status, Standing::Accepted),
        Verdict::Refused(reason) => (reason.status?, Standing::Refused(reason.kind?)),
        Verdict::Unsent(_) | Verdict::Untried if outcome.known => (0, Standing::NoAnswer),
        Verdict::Unsent(_) | Verdict::Untried | Verdict::Invalid => return None,
    };
    let key = outcome.key.map_or(if is_known { Entry::WITHOUT } else { Entry::NO_KEY }, |keys| keys.strict);
    Some((outcome.digest?, Entry { key, at: now, status, standing }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edfi::key::StrictKey;
    use crate::sift::Sifted;
    use crate::state::table::Table;

    #[test]
    fn what_is_learned_of_payloads_accepted_in_one_second_follows_the_files_and_not_the_workers() {
        let key = StrictKey([1; 12]);
        let learned = |number| {
            let entry = Entry { key, at: 1_000, status: 201, standing: Standing::Learned };
            let learned = vec![(Digest::of(&[number as u8]), entry)];
            News::Sifted(Sifted { resource: 7, number, learned, ..Sifted::default() })
        };
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
            let (mut waiting, mut table) = (Waiting::default(), Table::default());
            for number in order {
                let mut news = learned(number);
                waiting.learn_in_turn(&mut news);
                let News::Sifted(sifted) = news else { unreachable!() };
                table = table.with(sifted.learned);
            }
            let standing = [0, 1, 2].map(|number| table.get(&Digest::of(&[number])).unwrap().standing);
            assert_eq!(standing, [Standing::Superseded, Standing::Superseded, Standing::Accepted], "{order:?}");
        }
    }
}
