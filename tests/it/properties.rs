//! What must hold of selectors, tiers, resend rules, tables and counts whatever is put in, tried on what chance makes up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lightbeam::api::refusal::RefusalKind;
use lightbeam::catalog::{BEFORE_ALL, Catalog, Meaning, Scope, Turn};
use lightbeam::digest::Digest;
use lightbeam::edfi::key::StrictKey;
use lightbeam::folder::Found;
use lightbeam::outcome::{Counts, Reason, Tally, Verdict};
use lightbeam::plan::build;
use lightbeam::resource::Resource;
use lightbeam::selector::{Bare, Selector};
use lightbeam::sift::{Knowledge, Known, sift};
use lightbeam::source::{Block, Origin, Piece};
use lightbeam::state::reasons::Reasons;
use lightbeam::state::resend::{Due, Resend};
use lightbeam::state::table::{Entry, Standing, Table};

use crate::chance::Chance;

const ROUNDS: usize = 3_000;

/// A short word of few letters, so that words often contain each other.
fn word(chance: &mut Chance) -> String {
    (0..chance.below(4) + 1).map(|_| chance.one_of(&["a", "B", "ab"])).collect()
}

/// Whether a pattern whose `*` stand for anything matches, by trying every way.
fn glob(pattern: &[char], name: &[char]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some(('*', rest)) => (0..=name.len()).any(|skip| glob(rest, &name[skip..])),
        Some((first, rest)) => name.first() == Some(first) && glob(rest, &name[1..]),
    }
}

#[test]
fn a_selector_selects_what_some_pattern_includes_and_none_excludes() {
    let mut chance = Chance::new(1);
    let lower = |text: &str| text.to_lowercase().chars().collect::<Vec<_>>();
    for _ in 0..ROUNDS {
        let mut patterns = || -> Vec<String> {
            let stars = ["", "*"];
            let pattern = |chance: &mut Chance| {
                let (start, middle, end) = (chance.one_of(&stars), word(chance), chance.one_of(&stars));
                format!("{start}{middle}{end}")
            };
            (0..chance.below(3)).map(|_| pattern(&mut chance)).collect()
        };
        let (include, exclude) = (patterns(), patterns());
        let selector = Selector::new(Some(&include.join(" ,")), Some(&exclude.join(",")));
        let names: Vec<_> = (0..5).map(|_| word(&mut chance)).collect();
        let matches = |pattern: &String, name: &String| glob(&lower(pattern), &lower(name));
        for name in &names {
            let included = include.is_empty() || include.iter().any(|pattern| matches(pattern, name));
            let excluded = exclude.iter().any(|pattern| matches(pattern, name));
            assert_eq!(selector.matches(name), included && !excluded, "{name} of {include:?} without {exclude:?}");
        }
        let unknown = include.iter().chain(&exclude).filter(|pattern| !names.iter().any(|name| matches(pattern, name)));
        let resources: Vec<_> = names.iter().map(|name| Resource::new("ed-fi", name)).collect();
        let known = resources.iter().map(|resource| (resource, Bare::This));
        assert_eq!(selector.unknown(known), unknown.cloned().collect::<Vec<_>>());
    }
}

#[test]
fn tiers_ascend_and_every_file_is_in_one_job_or_deselected_or_told() {
    let mut chance = Chance::new(2);
    for _ in 0..ROUNDS {
        let turn = |chance: &mut Chance| {
            let resource = Resource::new(chance.one_of(&["ed-fi", "EdFi", "tpdm"]), &word(chance));
            Turn { resource, create: 1 + chance.below(4) as u32, update: None }
        };
        let turns: Vec<_> = (0..chance.below(8)).map(|_| turn(&mut chance)).collect();
        let overrides = BTreeMap::from([("tpdm".to_string(), vec![word(&mut chance)])]);
        let scope = Scope { namespace: "ed-fi", overrides: &overrides };
        let mut catalog = Catalog::new(scope, turns.clone());
        catalog.add_unordered(scope, [Resource::new("ed-fi", &word(&mut chance))]);
        let file = |chance: &mut Chance, above: &str| {
            let stem = word(chance).to_lowercase();
            let files = (0..chance.below(2) + 1).map(|i| PathBuf::from(format!("{above}{stem}/{i}.jsonl"))).collect();
            (stem, files)
        };
        let files: BTreeMap<String, Vec<PathBuf>> = (0..chance.below(8)).map(|_| file(&mut chance, "")).collect();
        let namespaced: BTreeMap<String, Vec<PathBuf>> =
            (0..chance.below(4)).map(|_| file(&mut chance, "TPDM/")).collect();
        let folder = (PathBuf::from("TPDM"), Found { files: namespaced.clone(), ..Found::default() });
        let found = Found { files: files.clone(), folders: vec![folder], ..Found::default() };
        let selector = Selector::new(None, chance.percent(50).then_some(chance.one_of(&["a*", "tpdm/a*"])));
        let assigned = found.assign(&catalog).unwrap();
        let plan = build(&catalog, &selector, &assigned);

        assert!(plan.tiers.is_sorted_by(|a, b| a.order < b.order));
        let mut number = 0;
        let mut planned = BTreeMap::new();
        for tier in &plan.tiers {
            assert!(tier.first == number && !tier.jobs.is_empty());
            number += tier.jobs.len();
            for job in &tier.jobs {
                let Turn { resource, create, .. } = &job.turn;
                assert!(*create == tier.order && selector.selects(resource, catalog.bare(resource)));
                assert!(*create == BEFORE_ALL || turns.contains(&job.turn), "{:?} is nobody's turn", job.turn);
                let paths: BTreeSet<_> = job.files.iter().map(|file| file.to_path_buf()).collect();
                assert_eq!(planned.insert(resource.clone(), paths), None, "{resource} has two jobs");
            }
        }
        let left_out: BTreeSet<_> = assigned.left_out.into_iter().map(|(path, _)| path).collect();
        let by_name = |stem: &String| match catalog.meaning(stem) {
            Meaning::One(turn) => Some(turn),
            Meaning::Undecided(_) | Meaning::Nothing => None,
        };
        let bare = files.iter().map(|(stem, paths)| (by_name(stem), paths));
        let within = namespaced.iter().map(|(stem, paths)| (catalog.within("tpdm", stem), paths));
        let mut expected: BTreeMap<Resource, BTreeSet<PathBuf>> = BTreeMap::new();
        for (turn, paths) in bare.chain(within) {
            let told = paths.iter().filter(|path| left_out.contains(*path)).count();
            match turn.map(|turn| &turn.resource) {
                None => assert_eq!(told, paths.len()),
                Some(resource) if selector.selects(resource, catalog.bare(resource)) => {
                    expected.entry(resource.clone()).or_default().extend(paths.iter().cloned());
                }
                Some(_) => {}
            }
        }
        assert_eq!(planned, expected);
    }
}

fn rules(chance: &mut Chance) -> Resend {
    let time = |chance: &mut Chance| chance.percent(30).then(|| chance.below(100));
    Resend {
        force: chance.percent(5),
        older_than: time(chance),
        newer_than: time(chance),
        statuses: (0..chance.below(3)).map(|_| status(chance)).collect(),
        skip_refused: chance.percent(20),
    }
}

fn status(chance: &mut Chance) -> u16 {
    [0, 200, 201, 299, 300, 400, 403, 409][chance.below(8) as usize]
}

#[test]
fn a_further_resend_rule_makes_more_due_and_never_less() {
    let mut chance = Chance::new(3);
    for _ in 0..ROUNDS {
        let (one, other) = (rules(&mut chance), rules(&mut chance));
        let (at, status) = (chance.below(100) as u32, status(&mut chance));
        let due = |rules: &Resend| rules.due(Some(&Entry::of_status(at, status)), false);
        // Of two bounds in time the wider one stands for both.
        let both = Resend {
            force: one.force || other.force,
            older_than: one.older_than.max(other.older_than),
            newer_than: [one.newer_than, other.newer_than].into_iter().flatten().min(),
            statuses: [&one.statuses[..], &other.statuses].concat(),
            skip_refused: one.skip_refused && other.skip_refused,
        };
        let either = due(&one) == Due::Yes || due(&other) == Due::Yes;
        assert_eq!(due(&both) == Due::Yes, either, "{status} at {at}: {one:?} {other:?}");
        let without = due(&Resend::default());
        assert_eq!(without, if (200..=299).contains(&status) { Due::Accepted } else { Due::Yes });
        let skipping = due(&Resend { skip_refused: true, ..Resend::default() });
        assert!([Due::Yes, without, skipping].contains(&due(&one)), "a reason not to send depends on the answer alone");
    }
}

#[test]
fn a_table_knows_what_a_map_would_know() {
    let mut chance = Chance::new(4);
    for _ in 0..300 {
        let (mut table, mut map) = (Table::default(), BTreeMap::new());
        for _ in 0..chance.below(6) {
            // Digests that share their beginning as well as others.
            let news: Vec<_> = (0..chance.below(60))
                .map(|_| {
                    let mut bytes = [if chance.percent(50) { 0xAB } else { chance.next() as u8 }; 16];
                    bytes[15] = chance.below(8) as u8;
                    (Digest(bytes), Entry::of_status(chance.next() as u32, status(&mut chance)))
                })
                .collect();
            map.extend(news.iter().copied());
            table = table.with(news);
        }
        assert_eq!(table.len(), map.len());
        assert!(map.iter().all(|(digest, entry)| table.get(digest) == Some(*entry)));
        assert_eq!(Table::from_rows(table.rows().to_vec(), 0, Reasons::default()).unwrap().rows(), table.rows());
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Became {
    Accepted,
    Refused,
    /// Nobody answered, and the API stored it nonetheless.
    Stored,
    /// Nobody answered, and it was lost.
    Lost,
}

#[test]
fn a_payload_that_the_state_skips_is_the_one_that_the_api_holds_whatever_was_sent_and_lost_before() {
    let mut chance = Chance::new(6);
    const ALL: [Became; 4] = [Became::Accepted, Became::Refused, Became::Stored, Became::Lost];
    let entry = |key: u8, status: u16, standing: Standing| Entry { key: StrictKey([key; 12]), at: 1, status, standing };
    for _ in 0..3_000 {
        let (mut table, mut api) = (Table::default(), BTreeMap::<u8, Digest>::new());
        for _ in 0..1 + chance.below(5) {
            // A run: what it journals is brought in at once or in pieces, and it may be killed after any request.
            let (before, mut news, mut seen) = (table.clone(), Vec::new(), BTreeSet::new());
            for _ in 0..chance.below(8) {
                let key = 1 + chance.below(2) as u8;
                let digest = Digest([10 * key + chance.below(3) as u8; 16]);
                let holds = before.get(&digest).is_some_and(|entry| entry.holds());
                // The first payload of a record needs no doubt if the API holds nothing that is known, or just that payload.
                if !seen.insert(key) || before.holds_some() && !holds {
                    news.push((digest, entry(key, 0, Standing::NoAnswer)));
                }
                let became = ALL[chance.below(4) as usize];
                if matches!(became, Became::Accepted | Became::Stored) {
                    api.insert(key, digest);
                }
                let killed = chance.percent(10);
                match became {
                    _ if killed => {}
                    Became::Accepted => news.push((digest, entry(key, 201, Standing::Accepted))),
                    Became::Refused => news.push((digest, entry(key, 400, Standing::Refused(RefusalKind::Payload)))),
                    Became::Stored | Became::Lost if before.get(&digest).is_some() => {
                        news.push((digest, entry(key, 0, Standing::NoAnswer)));
                    }
                    Became::Stored | Became::Lost => {}
                }
                if killed {
                    break;
                }
                // What was sent without an answer ends the record's turn in this run.
                if matches!(became, Became::Stored | Became::Lost) {
                    break;
                }
                if chance.percent(20) {
                    table = table.with(std::mem::take(&mut news));
                }
            }
            table = table.with(news);
            for (digest, known) in table.rows() {
                let key = known.key.0[0];
                let skipped = Resend::default().due(Some(known), table.is_doubtful(&known.key)) == Due::Accepted;
                assert!(
                    !skipped || api.get(&key) == Some(digest),
                    "{digest} is skipped, the API holds {:?}",
                    api.get(&key)
                );
            }
        }
    }
}

#[test]
fn every_line_is_counted_once_whatever_it_holds_and_wherever_blocks_are_cut() {
    let mut chance = Chance::new(5);
    let file: Arc<Path> = Path::new("students.jsonl").into();
    for _ in 0..ROUNDS {
        let texts =
            ["", "  ", "{\"a\":1}", " {\"a\":1}\r", "{\"a\":2}", "{\"a\":3}", "{\"a\":", "[1]", "x", "\u{feff}"];
        let mut known = vec!["{\"a\":1}", "{\"a\":2}", "x"];
        known.retain(|_| chance.percent(40));
        let entry = |text: &str| (Digest::of(text.as_bytes()), Entry::of_status(50, status(&mut chance)));
        let known = known.into_iter().map(entry).collect();
        let known = Known::new(Arc::new(Table::default().with(known)), None);
        let knowledge = Knowledge::new(7, vec![known]);
        let rules = rules(&mut chance);

        let (mut tally, mut lines, mut sent) = (Tally::default(), 0, BTreeSet::new());
        for number in 0..chance.below(4) as usize {
            let block: Vec<_> = (0..chance.below(6)).map(|_| format!("{}\n", chance.one_of(&texts))).collect();
            lines += block.len() as u64;
            let bytes = block.concat().into_bytes();
            let block = Block {
                resource: 7,
                file: file.clone(),
                first_line: 1,
                origin: Origin::File(0),
                taken: 0,
                bytes,
                held: Default::default(),
            };
            let (sifted, due) = sift(number, Piece::Lines(block), &knowledge, &rules);
            tally.counts.add(&sifted.counts);
            sifted.flaws.into_iter().for_each(|flaw| tally.add(flaw));
            for payload in due.into_iter().flatten() {
                assert!(sent.insert(payload.bytes().to_vec()), "sent twice");
                let reason = Reason::of_answer(Some(409), "no");
                let verdicts = [
                    Verdict::Accepted { status: 201 },
                    Verdict::Accepted { status: 204 },
                    Verdict::Refused(reason.clone()),
                    Verdict::Unsent(reason),
                    Verdict::Untried,
                ];
                tally.add(payload.outcome(verdicts[chance.below(5) as usize].clone()));
            }
        }
        let counts: Counts = tally.counts;
        assert!(counts.read == lines && counts.balances(), "{counts:?} of {lines} lines");
        let accepted: u64 = tally.accepted.values().sum();
        assert_eq!(accepted, counts.created + counts.updated);
        let failures: usize =
            tally.failures.iter().flat_map(|(_, failure)| failure.places.values()).map(Vec::len).sum();
        assert!(failures as u64 <= counts.failed());
    }
}
