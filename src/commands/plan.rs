//! `lightbeam plan`: what `send` would do, without sending anything. Works from cached metadata where the API cannot be reached.

use std::convert::Infallible;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use serde_json::{Value, json};

use super::prepare::prepare;
use crate::config::Config;
use crate::disk::System;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::model::Natural;
use crate::observer::Observer;
use crate::outcome::{Counts, Unread};
use crate::plan::{BEFORE_ALL, Job, Tier};
use crate::pool::{self, Workers};
use crate::resource::Resource;
use crate::selector::Selector;
use crate::sift::{Knowledge, Known, Sifted, sift};
use crate::state::{self, resend::Resend};
use crate::text;

/// What a run would do.
pub struct Outlook {
    /// The API's data URL.
    pub target: String,
    /// Each tier's order and what would become of its resources.
    pub tiers: Vec<(u32, Vec<Row>)>,
}

/// What would become of one resource.
pub struct Row {
    /// The resource.
    pub resource: Resource,
    /// How many files it has.
    pub files: usize,
    /// What became of its lines already; those in no count would be sent.
    pub counts: Counts,
    /// What could not be read.
    pub unread: Vec<Unread>,
}

impl Row {
    fn due(&self) -> u64 {
        self.counts.payloads() - self.counts.settled()
    }
}

/// Looks at every line of the selected resources.
pub fn run(
    config: &Config,
    selector: &Selector,
    resend: &Resend,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Outlook> {
    let prepared = prepare(config, selector, observer, interrupt)?;
    let pool = pool::workers(available_parallelism().map_or(1, NonZero::get), config.connection.memory)?;
    let target = prepared.api.urls().data.clone();
    let mut tiers = Vec::new();
    for tier in prepared.plan.tiers {
        let order = tier.order;
        tiers.push((
            order,
            rows(config, prepared.api.urls().target(), tier, &prepared.natural, resend, &pool, interrupt)?,
        ));
    }
    Ok(Outlook { target, tiers })
}

fn rows(
    config: &Config,
    target: (&str, Option<&str>),
    tier: Tier,
    natural: &[Option<Natural>],
    resend: &Resend,
    pool: &Workers,
    interrupt: &Interrupt,
) -> Result<Vec<Row>> {
    let mut known = Vec::new();
    for (job, natural) in tier.jobs.iter().zip(&natural[tier.first..]) {
        let definition = natural.as_ref().map_or(0, Natural::fingerprint);
        let table = state::peek(&System, config.state_dir.as_deref(), target, &job.turn.resource, definition)?;
        known.push(Known::new(Arc::new(table), natural.as_ref()).of_files(&job.files, job.bytes()));
    }
    let knowledge = Knowledge::new(tier.first, known);
    let pieces = tier.pieces(pool.room()).take_while(|_| interrupt.asked().is_none());
    let look = |(number, piece)| (Some(sift(number, piece, &knowledge, resend).0), Vec::<Infallible>::new());
    let row = |job: &Job| Row {
        resource: job.turn.resource.clone(),
        files: job.files.len(),
        counts: Counts::default(),
        unread: Vec::new(),
    };
    let mut rows: Vec<Row> = tier.jobs.iter().map(row).collect();
    let never = |payload: Infallible, _: &dyn Fn(Sifted)| match payload {};
    pool::run(pool, pieces, look, never, |news| {
        for sifted in news {
            let row = &mut rows[sifted.resource - tier.first];
            row.unread.extend(sifted.unread);
            row.counts.add(&sifted.counts);
            row.counts.refused += sifted.flaws.len() as u64;
        }
    })
    .map_err(|_| Error::bug("a worker came upon a bug in lightbeam"))?;
    match interrupt.asked() {
        Some(exit) => Err(Error::new(exit, "interrupted while reading")),
        None => Ok(rows),
    }
}

impl Outlook {
    /// How the program is to end: files without payloads are nothing to send.
    pub fn exit(&self) -> Exit {
        let read: u64 = self.tiers.iter().flat_map(|(_, rows)| rows).map(|row| row.counts.payloads()).sum();
        match read {
            _ if self.unread().next().is_some() => Exit::GivenUp,
            0 => Exit::AllSkipped,
            _ => Exit::Ok,
        }
    }

    /// What could not be read.
    fn unread(&self) -> impl Iterator<Item = &Unread> {
        self.tiers.iter().flat_map(|(_, rows)| rows).flat_map(|row| &row.unread)
    }

    /// What people read, within 80 columns.
    pub fn to_text(&self) -> String {
        let cells = |files: usize, counts: &Counts, due: u64| {
            let known = [counts.skipped, counts.skipped_refused, counts.duplicates, counts.refused];
            let all = [files as u64, counts.payloads(), due].into_iter().chain(known);
            all.map(text::count).collect::<Vec<_>>()
        };
        let heads = ["files", "payloads", "to send", "skipped", "skipped*", "duplicates", "invalid"];
        let mut rows = vec![(String::new(), heads.map(String::from).to_vec())];
        let (mut total, mut files, mut due) = (Counts::default(), 0, 0);
        for (number, (order, tier)) in self.tiers.iter().enumerate() {
            let order = if *order == BEFORE_ALL { "before all others".into() } else { format!("order {order}") };
            rows.push((format!("tier {}, {order}", number + 1), Vec::new()));
            for row in tier {
                total.add(&row.counts);
                files += row.files;
                due += row.due();
                rows.push((format!("  {}", row.resource.label()), cells(row.files, &row.counts, row.due())));
            }
        }
        rows.push(("total".into(), cells(files, &total, due)));
        let refused = match total.skipped_refused {
            0 => "",
            _ => "* refused in an earlier run because of the payload itself, and left out; --failed sends them.\n",
        };
        let unread: String = self.unread().map(|unread| text::wrapped(&unread.told(), 0, 80)).collect();
        format!("Nothing is sent. To {}:\n{}{refused}{unread}", self.target, text::table(&rows, 80))
    }

    /// The same for machines.
    pub fn to_json(&self) -> Value {
        let row = |row: &Row| {
            json!({
                "resource": row.resource.label(),
                "namespace": row.resource.namespace(),
                "files": row.files,
                "payloads": row.counts.payloads(),
                "to_send": row.due(),
                "skipped_accepted": row.counts.skipped,
                "skipped_refused": row.counts.skipped_refused,
                "duplicates": row.counts.duplicates,
                "invalid": row.counts.refused,
                "blank": row.counts.blank,
            })
        };
        let tier = |(order, rows): &(u32, Vec<Row>)| json!({ "order": order, "resources": rows.iter().map(row).collect::<Vec<_>>() });
        json!({
            "target": self.target,
            "tiers": self.tiers.iter().map(tier).collect::<Vec<_>>(),
            "incomplete": self.unread().map(Unread::to_json).collect::<Vec<_>>(),
        })
    }
}
