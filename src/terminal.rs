//! The human's and the machine's rendering of a run: log lines on standard error, as text or JSON, and a progress bar where there is a terminal, a line
//! every ten seconds where there is none.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::cli::LogFormat;
use crate::config::Level;
use crate::observer::{Observer, Progress};
use crate::text::{self, visible};

/// Between two lines of progress where there is no terminal.
const EVERY: Duration = Duration::from_secs(10);

/// Writes to standard error.
pub struct Terminal {
    format: LogFormat,
    least: Level,
    /// Where progress goes; `None` if it is not wanted.
    progress: Option<Display>,
    /// What the summary and the results are to repeat.
    warnings: Vec<String>,
}

enum Display {
    Bar(ProgressBar),
    Lines { last: Instant, settled: u64 },
}

impl Terminal {
    /// Logs from `least` on; `progress` tells whether progress is wanted.
    pub fn new(format: LogFormat, least: Level, progress: bool) -> Terminal {
        let bar = format == LogFormat::Text && std::io::stderr().is_terminal();
        let display = match bar {
            true => Display::Bar(progress_bar()),
            false => Display::Lines { last: Instant::now(), settled: 0 },
        };
        Terminal { format, least, progress: progress.then_some(display), warnings: Vec::new() }
    }
}

impl Terminal {
    /// What the summary and the results are to repeat.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl Observer for Terminal {
    fn warn(&mut self, text: &str) {
        self.log(Level::Warning, text);
        self.warnings.push(text.into());
    }

    fn log(&mut self, level: Level, text: &str) {
        if level < self.least {
            return;
        }
        let line = line(self.format, &jiff::Zoned::now(), level, text);
        // Whoever closed standard error does not want to hear of it.
        let write = || drop(writeln!(std::io::stderr().lock(), "{line}"));
        match &self.progress {
            Some(Display::Bar(bar)) => bar.suspend(write),
            _ => write(),
        }
    }

    fn progress(&mut self, progress: &Progress) {
        match &mut self.progress {
            Some(Display::Bar(bar)) => {
                // A run may have more than one part, with a question between them.
                if bar.is_finished() {
                    bar.reset();
                }
                bar.set_length(progress.total);
                bar.set_position(progress.settled);
                bar.set_message(message(progress));
                bar.set_prefix(format!(
                    "{}/{} {}",
                    progress.tier,
                    progress.tiers,
                    text::shortened(&visible::clean_line(&progress.resource), 28)
                ));
            }
            Some(Display::Lines { last, settled }) if last.elapsed() >= EVERY => {
                let rate = (progress.settled - *settled) as f64 / last.elapsed().as_secs_f64();
                (*last, *settled) = (Instant::now(), progress.settled);
                let line = progress_line(progress, rate);
                self.log(Level::Info, &line);
            }
            _ => {}
        }
    }

    fn finished(&mut self) {
        if let Some(Display::Bar(bar)) = &self.progress {
            bar.finish_and_clear();
        }
    }
}

fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(5));
    let count = |n: u64| text::count(n);
    let style = ProgressStyle::with_template("{prefix} {done}/{total} {bar:10} {rate}/s {left} left{msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
        .with_key("done", move |state: &ProgressState, w: &mut dyn std::fmt::Write| {
            let _ = w.write_str(&count(state.pos()));
        })
        .with_key("total", move |state: &ProgressState, w: &mut dyn std::fmt::Write| {
            let _ = w.write_str(&count(state.len().unwrap_or(0)));
        })
        .with_key("rate", move |state: &ProgressState, w: &mut dyn std::fmt::Write| {
            let _ = w.write_str(&count(state.per_sec() as u64));
        })
        .with_key("left", |state: &ProgressState, w: &mut dyn std::fmt::Write| {
            let _ = w.write_str(&text::duration(state.eta().as_secs()));
        });
    bar.with_style(style)
}

fn message(progress: &Progress) -> String {
    match progress.failed {
        0 => String::new(),
        failed => format!(" {} failed", text::count(failed)),
    }
}

/// What a line of progress says, at `rate` payloads or records a second.
fn progress_line(progress: &Progress, rate: f64) -> String {
    let about = if progress.estimated { "about " } else { "" };
    let left = match rate {
        r if r >= 0.1 => text::duration((progress.total.saturating_sub(progress.settled) as f64 / r) as u64),
        _ => "unknown time".into(),
    };
    let (step, thing) = progress.work.words();
    format!(
        "{step} {} of {}, {}: {} of {about}{} {thing}, {}/s, {left} left{}",
        progress.tier,
        progress.tiers,
        progress.resource,
        text::count(progress.settled),
        text::count(progress.total),
        text::count(rate as u64),
        match progress.failed {
            0 => String::new(),
            failed => format!(", {} failed", text::count(failed)),
        }
    )
}

fn line(format: LogFormat, now: &jiff::Zoned, level: Level, text: &str) -> String {
    match format {
        LogFormat::Text => {
            format!("{} lightbeam {:<7} {}", now.strftime("%F %T"), level.name(), visible::clean_line(text))
        }
        LogFormat::Json => {
            let line =
                serde_json::json!({ "time": now.timestamp().to_string(), "level": level.name(), "message": text });
            visible::escaped(&line.to_string()).into_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observer::Work;

    fn noon() -> jiff::Zoned {
        "2026-11-22T12:00:00+00:00[UTC]".parse().unwrap()
    }

    #[test]
    fn a_log_line_reads_as_the_originals() {
        let text = line(LogFormat::Text, &noon(), Level::Warning, "no files");
        assert_eq!(text, "2026-11-22 12:00:00 lightbeam WARNING no files");
    }

    #[test]
    fn a_json_log_line_is_one_object_whatever_the_text() {
        let text = line(LogFormat::Json, &noon(), Level::Info, "a \"quoted\"\nline");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["level"], &value["message"]), (&"INFO".into(), &"a \"quoted\"\nline".into()));
        assert!(!text.contains('\n'));
    }

    #[test]
    fn progress_tells_tier_resource_done_total_rate_time_and_failures() {
        let mut progress = Progress {
            work: Work::Send,
            tier: 3,
            tiers: 18,
            resource: "students".into(),
            settled: 1_200,
            total: 11_200,
            estimated: true,
            failed: 0,
        };
        let line = progress_line(&progress, 100.0);
        assert_eq!(line, "tier 3 of 18, students: 1,200 of about 11,200 payloads, 100/s, 1:40 left");
        progress.failed = 7;
        assert!(progress_line(&progress, 0.0).ends_with("unknown time left, 7 failed"));
        progress.work = Work::Fetch;
        assert!(progress_line(&progress, 1.0).starts_with("resource 3 of 18, students: 1,200 of about 11,200 records"));
        progress.work = Work::Search;
        assert!(progress_line(&progress, 1.0).contains("1,200 of about 11,200 payloads looked up"));
        progress.work = Work::Delete;
        assert!(progress_line(&progress, 1.0).starts_with("tier 3 of 18, students: 1,200 of about 11,200 records"));
    }
}
