//! The Python lightbeam on the same machine, in the same run, with the same files: `make bench-peer` installs it and names it in PEER.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::child::{Cost, Sandbox, cost};
use crate::input::Folder;
use crate::{row, share};

/// Payloads; it takes some ten seconds for each run over these.
const PAYLOADS: usize = 64_000;
const RUNS: usize = 3;

/// Prints what both cost.
pub fn measure() {
    let Some(program) = std::env::var_os("PEER").map(PathBuf::from).filter(|program| program.exists()) else {
        return println!("the Python lightbeam is not compared: it is not installed (make bench-peer installs it)");
    };
    let sandbox = Sandbox::start(Duration::ZERO);
    let folder = Folder::of_schools(PAYLOADS, &sandbox.url);
    let config = format!(
        "state_dir: ./peer/\ndata_dir: ./data/\nlog_level: ERROR\nedfi_api:\n  base_url: {}\n  version: 3\n  mode: shared_instance\n  \
         client_id: key\n  client_secret: secret\nconnection:\n  pool_size: 8\n  verify_ssl: false\n\
         validate:\n  methods: [schema, descriptors, uniqueness]\n",
        sandbox.url
    );
    fs::write(folder.path().join("peer.yaml"), config).expect("a configuration");
    let peer = |command: &str| {
        let mut peer = Command::new(&program);
        peer.args([command, "-c", "peer.yaml"]).current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        peer
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        folder.forget();
        let _ = fs::remove_dir_all(folder.path().join("peer"));
        ours.push([cost(folder.lightbeam(), 0), cost(folder.lightbeam(), 99)]);
        theirs.push([cost(peer("send"), 0), cost(peer("send"), 99)]);
    }
    let payloads = folder.payloads();
    let both = |what: &str, payloads, ours: Vec<Cost>, theirs: Vec<Cost>| {
        let (ours, theirs) = (Cost::median(ours), Cost::median(theirs));
        row(&format!("{what} {payloads}"), &ours, payloads);
        row(&format!("{what} {payloads}, Python lightbeam"), &theirs, payloads);
        share("  times as fast", theirs.seconds / ours.seconds);
    };
    let split = |costs: Vec<[Cost; 2]>| -> (Vec<Cost>, Vec<Cost>) {
        costs.into_iter().map(|[send, skip]| (send, skip)).unzip()
    };
    let ((our_sends, our_skips), (their_sends, their_skips)) = (split(ours), split(theirs));
    both("send", payloads, our_sends, their_sends);
    both("skip", payloads, our_skips, their_skips);
    // Its descriptors are those of an API, and this one has none.
    fs::remove_file(folder.data().join("sessions.json")).expect("the sample district");
    let ours = (0..RUNS).map(|_| cost(folder.validate("[schema, descriptors, uniqueness]"), 0)).collect();
    let theirs = (0..RUNS).map(|_| cost(peer("validate"), 0)).collect();
    both("validate", folder.payloads(), ours, theirs);
}
