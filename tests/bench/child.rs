//! Other processes and what they cost: time, processor and memory, as `/proc` tells them (Linux; elsewhere they are not a number).

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a run cost.
pub struct Cost {
    /// From start to end.
    pub seconds: f64,
    /// Processor seconds, user and system.
    pub cpu: f64,
    /// The sandbox's processor seconds meanwhile.
    pub sandbox_cpu: f64,
    /// The largest resident size, in bytes.
    pub memory: f64,
}

impl Cost {
    /// Each figure's median.
    pub fn median(costs: Vec<Cost>) -> Cost {
        let median = |figure: fn(&Cost) -> f64| {
            let mut figures: Vec<f64> = costs.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures[figures.len() / 2]
        };
        Cost {
            seconds: median(|cost| cost.seconds),
            cpu: median(|cost| cost.cpu),
            sandbox_cpu: median(|cost| cost.sandbox_cpu),
            memory: median(|cost| cost.memory),
        }
    }
}

/// `lightbeam sandbox --no-check`, until it is dropped.
pub struct Sandbox {
    child: Child,
    /// Its address.
    pub url: String,
}

impl Sandbox {
    /// One whose answers take at least `latency`.
    pub fn start(latency: Duration) -> Sandbox {
        Sandbox::with(latency, &[])
    }

    /// The same with further options.
    pub fn with(latency: Duration, options: &[&str]) -> Sandbox {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lightbeam"));
        command.args(["sandbox", "--no-check", "--port", "0", "--latency", &latency.as_millis().to_string()]);
        command.args(options);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("a sandbox");
        let mut line = String::new();
        let out = child.stdout.as_mut().expect("its output");
        BufReader::new(out).read_line(&mut line).expect("its first line");
        let url = line.split([' ', ',']).find(|word| word.starts_with("http://")).expect("its address").into();
        Sandbox { child, url }
    }

    /// Runs `command` to its end and tells what it cost; it has to end with the code `exit`.
    pub fn cost_of(&self, command: Command, exit: i32) -> Cost {
        const ITSELF: usize = 13;
        let before = cpu(&self.child.id().to_string(), ITSELF);
        let cost = cost(command, exit);
        Cost { sandbox_cpu: cpu(&self.child.id().to_string(), ITSELF) - before, ..cost }
    }
}

/// Runs `command` to its end and tells what it cost; it has to end with the code `exit`.
pub fn cost(mut command: Command, exit: i32) -> Cost {
    const CHILDREN: usize = 15;
    let before = cpu("self", CHILDREN);
    let start = Instant::now();
    let mut child = command.spawn().expect("a child");
    let pid = child.id();
    let watch = std::thread::spawn(move || peak(pid));
    let status = child.wait().expect("its end");
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(status.code(), Some(exit), "{command:?}");
    let cpu = cpu("self", CHILDREN) - before;
    Cost { seconds, cpu, sandbox_cpu: f64::NAN, memory: watch.join().expect("a peak") }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The sum of two neighbouring columns of `/proc/PID/stat` (from 0, proc(5)), which count hundredths of a second.
fn cpu(pid: &str, column: usize) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in parentheses, may hold spaces; column 2 follows it.
    let columns = stat.rsplit_once(')').map_or("", |(_, columns)| columns);
    let tick = |i: usize| columns.split_whitespace().nth(i - 2).and_then(|n| n.parse().ok()).unwrap_or(f64::NAN);
    (tick(column) + tick(column + 1)) / 100.0
}

/// The largest resident size of a process, looked up until it is gone.
fn peak(pid: u32) -> f64 {
    let mut peak = f64::NAN;
    while let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status"))
        && let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))
    {
        peak = line.trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN) * 1024.0;
        std::thread::sleep(Duration::from_millis(2));
    }
    peak
}

/// Machine and versions, for the figures mean nothing without.
pub fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("an unknown processor");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let rustc = Command::new("rustc").arg("-V").output().map_or_else(|_| Vec::new(), |output| output.stdout);
    let load = read("/proc/loadavg");
    format!(
        "{}, {cores} cores, Linux {}, load before {}\nlightbeam {}, {}",
        model.trim_start_matches([' ', '\t', ':']),
        read("/proc/sys/kernel/osrelease").trim(),
        load.split(' ').next().unwrap_or_default(),
        env!("CARGO_PKG_VERSION"),
        String::from_utf8_lossy(&rustc).trim()
    )
}
