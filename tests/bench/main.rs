//! Speed and memory, as a user has them: the release binary, run from its start to its end against a sandbox in another
//! process, that checks nothing. Prints medians; nothing here passes or fails.
//!
//! The yardsticks are in [`bare`]: as many threads, that do nothing but post the same bytes.

mod bare;
mod child;
mod count;
mod history;
mod input;
mod peer;
mod poison;

use std::process::ExitCode;
use std::time::Duration;

use child::{Cost, Sandbox};
use input::Folder;

/// Payloads of the cases without latency.
const PAYLOADS: usize = 320_000;
/// Payloads that are skipped where 320,000 would end too early to be measured.
const KNOWN: usize = 1_500_000;
const WORKERS: usize = 8;
const LATENCY: Duration = Duration::from_millis(20);
/// Runs of each case, and of those that take long by their nature.
const RUNS: usize = 5;
const SLOW_RUNS: usize = 3;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if let [_, name, url, data, workers] = args.as_slice()
        && bare::run(name, url, data.as_ref(), workers.parse().unwrap_or(WORKERS))
    {
        return ExitCode::SUCCESS;
    }
    if let [_, name, step, folder] = args.as_slice()
        && name == history::NAME
    {
        history::step(step, folder.as_ref());
        return ExitCode::SUCCESS;
    }
    if args.iter().any(|arg| arg == "count") {
        return if count::measure() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    println!("{}\n", child::machine());
    println!("{:<46}{:>14}{:>10}{:>10}{:>10}", "median of the runs", "payloads/s", "CPU µs", "sandbox", "memory");
    // `cargo bench -- NAME…` runs only these; the comparison with the Python lightbeam must be asked for.
    let wanted: Vec<_> = args[1..].iter().filter(|arg| !arg.starts_with("--")).collect();
    let cases: [(&str, fn()); 10] = [
        ("send", without_latency),
        ("skip", skipping),
        ("validate", validating),
        ("latency", latencies),
        ("tiers", tiers),
        ("crowded", crowded),
        ("large", large),
        ("poison", || poison::measure(WORKERS)),
        ("start", starting),
        ("history", || history::measure(RUNS)),
    ];
    for (name, case) in cases {
        if wanted.is_empty() || wanted.iter().any(|wanted| *wanted == name) {
            case();
        }
    }
    if wanted.iter().any(|wanted| *wanted == "peer") {
        peer::measure();
    }
    println!("\nCPU µs: user and system time a payload, of lightbeam and of the sandbox. Memory: the peak, resident.");
    ExitCode::SUCCESS
}

/// As on every night but the first: what the API says of itself is cached.
fn without_latency() {
    let sandbox = Sandbox::start(Duration::ZERO);
    let folder = Folder::new(PAYLOADS, &sandbox.url, WORKERS);
    sandbox.cost_of(folder.run(&["plan"]), 0);
    let (mut plain, mut usual, mut skips) = (Vec::new(), Vec::new(), Vec::new());
    let (mut bares, mut sockets) = (Vec::new(), Vec::new());
    // In turns, so that what else the machine does falls on all alike.
    for _ in 0..RUNS {
        folder.forget_outcomes();
        let mut fixed = folder.lightbeam();
        fixed.args(["--quiet", "--set", "connection.adaptive", "false"]);
        plain.push(sandbox.cost_of(fixed, 0));
        folder.forget_outcomes();
        usual.push(sandbox.cost_of(folder.lightbeam(), 0));
        skips.push(sandbox.cost_of(folder.lightbeam(), SKIPPED));
        bares.push(sandbox.cost_of(bare::command(bare::LOOP, &sandbox.url, &folder.data(), WORKERS), 0));
        sockets.push(sandbox.cost_of(bare::command(bare::SOCKETS, &sandbox.url, &folder.data(), WORKERS), 0));
    }
    let (plain, usual, bare) = (Cost::median(plain), Cost::median(usual), Cost::median(bares));
    row(&format!("send {PAYLOADS}, {WORKERS} workers, not adaptive"), &plain, PAYLOADS);
    row(&format!("the same bytes by a bare loop, {WORKERS} threads"), &bare, PAYLOADS);
    share("  rate of send as a share of the bare loop's", bare.seconds / plain.seconds);
    row("the same bytes by bare sockets", &Cost::median(sockets), PAYLOADS);
    row("as a user has it: adaptive, with a log", &usual, PAYLOADS);
    share("  rate as a share of the first row's", plain.seconds / usual.seconds);
    row(&format!("skip {PAYLOADS}"), &Cost::median(skips), PAYLOADS);
}

/// The exit code of a run that skipped everything.
const SKIPPED: i32 = 99;

fn skipping() {
    let sandbox = Sandbox::start(Duration::ZERO);
    let folder = Folder::new(KNOWN, &sandbox.url, WORKERS);
    folder.know_all(&sandbox.url);
    let skip = Cost::median((0..RUNS).map(|_| sandbox.cost_of(folder.lightbeam(), SKIPPED)).collect());
    row(&format!("skip {KNOWN}"), &skip, KNOWN);
}

fn validating() {
    let sandbox = Sandbox::start(Duration::ZERO);
    let folder = Folder::of_schools(PAYLOADS, &sandbox.url);
    for (methods, told) in [("[schema, descriptors, uniqueness]", "validate"), ("*", "validate with references")] {
        let cost = (0..RUNS).map(|_| sandbox.cost_of(folder.validate(methods), 0)).collect();
        row(&format!("{told} {PAYLOADS}"), &Cost::median(cost), PAYLOADS);
    }
}

fn latencies() {
    for (workers, payloads) in [(8, 1_600), (64, 12_800)] {
        with_latency(workers, payloads);
    }
}

/// With cached metadata too.
fn with_latency(workers: usize, payloads: usize) {
    let sandbox = Sandbox::start(LATENCY);
    let folder = Folder::new(payloads, &sandbox.url, workers);
    sandbox.cost_of(folder.lightbeam(), 0);
    let (mut sends, mut bares) = (Vec::new(), Vec::new());
    for _ in 0..SLOW_RUNS {
        folder.forget_outcomes();
        sends.push(sandbox.cost_of(folder.lightbeam(), 0));
        bares.push(sandbox.cost_of(bare::command(bare::LOOP, &sandbox.url, &folder.data(), workers), 0));
    }
    let (send, bare) = (Cost::median(sends), Cost::median(bares));
    row(&format!("send {payloads}, {workers} workers, latency {} ms", LATENCY.as_millis()), &send, payloads);
    let ideal = payloads as f64 / workers as f64 * LATENCY.as_secs_f64();
    share("  rate as a share of the ideal", ideal / send.seconds);
    share("  the bare loop's rate as a share of it", ideal / bare.seconds);
}

/// An API that takes few requests at a time: many workers that find out how many, against just as many as it takes.
fn crowded() {
    const TAKEN: &str = "4";
    const PAYLOADS: usize = 1_600;
    let sandbox = Sandbox::with(LATENCY, &["--max-concurrent", TAKEN]);
    let folder = Folder::new(PAYLOADS, &sandbox.url, 32);
    let cost = |settings: &[&str]| {
        folder.forget();
        let mut command = folder.lightbeam();
        command.arg("--set").args(settings);
        sandbox.cost_of(command, 0)
    };
    let (mut adaptive, mut fixed) = (Vec::new(), Vec::new());
    for _ in 0..SLOW_RUNS {
        adaptive.push(cost(&["connection.adaptive", "true"]));
        fixed.push(cost(&["connection.adaptive", "false", "connection.pool_size", TAKEN]));
    }
    let (adaptive, fixed) = (Cost::median(adaptive), Cost::median(fixed));
    row(&format!("send {PAYLOADS}, 32 workers, the API takes {TAKEN}"), &adaptive, PAYLOADS);
    row(&format!("the same, {TAKEN} workers, not adaptive"), &fixed, PAYLOADS);
    share("  rate as a share of that", fixed.seconds / adaptive.seconds);
}

/// As many tiers as a real API has, and hundreds of small files.
fn tiers() {
    let sandbox = Sandbox::start(LATENCY);
    let folder = Folder::of_tiers(&sandbox.url);
    let payloads = folder.payloads();
    let run = |_| {
        folder.forget();
        sandbox.cost_of(folder.lightbeam(), 0)
    };
    let cost = Cost::median((0..SLOW_RUNS).map(run).collect());
    row(&format!("send {payloads} in 22 tiers, latency {} ms", LATENCY.as_millis()), &cost, payloads);
    let ideal = payloads as f64 / WORKERS as f64 * LATENCY.as_secs_f64();
    share("  rate as a share of the ideal", ideal / cost.seconds);
}

/// Payloads of a megabyte.
fn large() {
    const PAYLOADS: usize = 1_000;
    let sandbox = Sandbox::start(Duration::ZERO);
    let folder = Folder::of_large(PAYLOADS, &sandbox.url);
    let run = |_| {
        folder.forget();
        sandbox.cost_of(folder.lightbeam(), 0)
    };
    row(&format!("send {PAYLOADS} of 1 MB"), &Cost::median((0..SLOW_RUNS).map(run).collect()), PAYLOADS);
}

/// How soon it is there.
fn starting() {
    let sandbox = Sandbox::start(Duration::ZERO);
    let folder = Folder::new(10, &sandbox.url, WORKERS);
    let version = || sandbox.cost_of(folder.run(&["--version"]), 0);
    let seconds = Cost::median((0..RUNS * 4).map(|_| version()).collect()).seconds;
    println!("{:<46}{:>11.1} ms", "lightbeam --version", seconds * 1e3);
    // What the API says of itself is cached.
    sandbox.cost_of(folder.lightbeam(), 0);
    let run = || {
        folder.forget_outcomes();
        sandbox.cost_of(folder.lightbeam(), 0)
    };
    let seconds = Cost::median((0..RUNS * 4).map(|_| run()).collect()).seconds;
    println!("{:<46}{:>11.1} ms", "send 10, from start to end", seconds * 1e3);
}

fn share(what: &str, share: f64) {
    println!("{what:<46}{share:>14.2}");
}

fn row(case: &str, cost: &Cost, payloads: usize) {
    let micros = |seconds: f64| seconds * 1e6 / payloads as f64;
    println!(
        "{case:<46}{:>14.0}{:>10.2}{:>10.2}{:>7.1} MB",
        payloads as f64 / cost.seconds,
        micros(cost.cpu),
        micros(cost.sandbox_cpu),
        cost.memory / 1e6
    );
}
