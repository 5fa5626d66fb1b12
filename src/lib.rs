//! Sends folders of JSONL payloads to an Ed-Fi API, loses nothing and says what happened.
//!
//! # The way of the data
//!
//! ```text
//! argv ─cli→ Command ┐
//! YAML ─config→ Config ┴→ Api::connect → dependencies ─┐
//! data folder ─folder→ Found ─catalog→ Assigned ─plan→ Plan [tier, …] ┴→ Load
//!
//! for each tier, on one pool of workers:
//!   source: files → blocks of whole lines
//!     → sift: digest, history, duplicates, natural keys → what is due
//!       → api: request → transport → reply → retry → what became of it
//!   news goes through a bounded postbox to whoever has the books, one thread at a time:
//!     state (journal) → books (tallies) → observer (log, progress)
//!   end of tier: snapshots, journal emptied
//!   what waits (order may cure its refusal, or an earlier one of its key) → chain → api, pass after pass
//! after the last tier: Summary → report (table, results file) → exit
//! ```
//!
//! The other commands go parts of the same way. `validate` turns after [`source`] to [`check`], which reads each payload once against the
//! compiled [`model`], and looks up what that mentions. `count`, `fetch` and `truncate` read [`pages`]; `delete` looks payloads up by
//! their natural keys, goes through the tiers backwards and takes what is gone out of the history.
//!
//! # Three decisions
//!
//! **Values go forward.** Config, plan, outcomes and summary do not change once made; a command is a function from values to a value.
//!
//! **One writer.** One thread at a time has history, journal, books and terminal ([`postbox`]); they need no locks and their tests no threads.
//! Workers share what is made for sharing: the HTTP agent, the token, the tables of a tier, which do not change meanwhile.
//!
//! **Decisions are pure, effects are thin.** What to repeat and when ([`api::retry`]), what is due ([`state::resend`]), in which order
//! ([`plan`]), what an answer means ([`api::reply`]) take values and return values.
//!
//! A payload that the API refuses is data ([`outcome`]), not an [`error::Error`]; an error is what stops a run.
//!
//! # Where the design changed
//!
//! * A payload is recognised by BLAKE3, not by the SHA-256 that TLS links anyway, and several are hashed at once: see [`digest`].
//! * News is not handed to the calling thread: to wake it cost more than all that it did. Whoever fills the postbox enters what is inside
//!   ([`postbox`]).
//! * What a tier learns is in the journal alone and read back from there at its end, in memory it would be the larger part ([`state`]).
//! * A block is not handed over payload by payload: workers sift whole blocks and only what is due is queued ([`pool`]). A rerun that skips
//!   everything hands over nothing.
//! * A known payload that was to be sent again and got no final answer is remembered as such ([`state::table::Standing::NoAnswer`]), so that
//!   a run that was stopped under `--force` is taken up where it stopped.
//! * Natural keys are read for every load, though only validation needs all of the model: payloads of one key are sent in the order of the files,
//!   and children after their parents ([`chain`]).
//! * What a natural key is, where payloads hold it and how it compares stands in one place ([`edfi::key`]); everybody reads it there.
//! * The state knows records, not only payloads: each entry carries the key of its record, so that the payload the API holds is the one that
//!   the state calls accepted, and a payload that another one of its record replaced is called so ([`state::table::Standing::Superseded`]).
//! * A payload that the API may have taken is entered as doubtful before it is sent, and the journal is written before the request goes out.
//!   Whatever happens to the answer, the next run knows that the record is open ([`state`]).
//! * Which payload of a record is the last of a load is known before the first is sent, by reading the files once ([`sift`]).
//! * The sandbox checks payloads with the same [`check`] as validation, so that one cannot say what the other does not.
//! * `delete` looks up everything before it deletes anything, and the history forgets before the API does ([`mod@delete`]).
//! * The lock of a target covers all its namespaces, which are folders below it ([`state::target`]).
//! * The transport writes head and body of a request with one call and remembers addresses ([`api::transport`]); plain ureq does neither.
//!
//! # Rooms, in the order of the way
//!
//! [`cli`], [`config`], [`commands`] · [`selector`], [`nearest`], [`resource`] · [`catalog`], [`folder`], [`source`], [`plan`] · [`api`], [`edfi`], [`model`], [`check`] · [`state`],
//! [`digest`], [`disk`] · [`load`], [`pool`], [`postbox`], [`sequencer`], [`sift`], [`payload`], [`chain`], [`door`], [`rejects`] · [`validate`] · [`pages`], [`fetch`] · [`confirm`], [`delete`] · [`skeleton`] · [`outcome`], [`books`], [`observer`], [`terminal`], [`text`], [`report`], [`results`] ·
//! [`clock`], [`interrupt`], [`error`], [`exit`] · [`sandbox`]

pub mod api;
pub mod books;
pub mod catalog;
pub mod chain;
pub mod check;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod confirm;
pub mod delete;
pub mod digest;
pub mod disk;
pub mod door;
pub mod edfi;
pub mod error;
pub mod exit;
pub mod fetch;
pub mod folder;
pub mod interrupt;
pub mod load;
pub mod model;
pub mod nearest;
pub mod observer;
pub mod outcome;
pub mod pages;
pub mod payload;
pub mod plan;
pub mod pool;
pub mod postbox;
pub mod rejects;
pub mod report;
pub mod resource;
pub mod results;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod selector;
pub mod sequencer;
pub mod sift;
pub mod skeleton;
pub mod source;
pub mod state;
pub mod terminal;
pub mod text;
pub mod validate;
