//! Secrets, and where the API key's secret comes from: the configuration itself, a file, or a command such as that of a
//! password manager.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Context, Error, Result};
use crate::exit::Exit;

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(value.into())
    }

    /// For the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Where the API key's secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientSecret {
    /// `edfi_api.client_secret`: it stands in the configuration.
    Given(Secret),
    /// `edfi_api.client_secret_file`: a file holds it and nothing else.
    File(PathBuf),
    /// `edfi_api.client_secret_command`: the system's shell runs this command, which may hold secrets itself, and it
    /// prints the secret, within this time.
    Command(Secret, Duration),
}

/// No secret is longer, so that a wrong path such as `/dev/zero` does no harm.
const LONGEST: u64 = 64 * 1024;

impl ClientSecret {
    /// The secret, without white space at its end. Errors (exit 2) name the key and never what was read. `sleep` waits,
    /// unless the run is to end.
    pub fn reveal(&self, sleep: &dyn Fn(Duration) -> Result<(), Exit>) -> Result<Secret> {
        match self {
            ClientSecret::Given(secret) => Ok(secret.clone()),
            ClientSecret::File(path) => from_file(path),
            ClientSecret::Command(command, limit) => printed_by(command.expose(), *limit, sleep),
        }
    }
}

fn from_file(path: &Path) -> Result<Secret> {
    let told = || format!("edfi_api.client_secret_file: cannot read {}", path.display());
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes)).or_stop(Exit::Usage, told)?;
    checked(bytes).map_err(|wrong| Error::usage(format!("edfi_api.client_secret_file: {} {wrong}", path.display())))
}

/// Between two looks at a command that is running.
const LOOK: Duration = Duration::from_millis(20);
/// For so long what a command printed is waited for once it has ended. What it started may hold its output open for ever.
const REST: Duration = Duration::from_secs(1);

fn printed_by(command: &str, limit: Duration, sleep: &dyn Fn(Duration) -> Result<(), Exit>) -> Result<Secret> {
    const KEY: &str = "edfi_api.client_secret_command";
    // What it says on standard error may hold the secret too, and may end up in a log.
    let mut child = shell(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .or_stop(Exit::Usage, || format!("{KEY}: cannot start the system's shell"))?;
    let (printed, all) = (Arc::new(Mutex::new(Vec::new())), mpsc::channel());
    let (out, so_far, done) = (child.stdout.take(), printed.clone(), all.0);
    let reader = move || {
        let read = out.map_or(Ok(()), |out| read_on(out, &so_far));
        // Whoever waits no longer has what it needs.
        let _ = done.send(read);
    };
    thread::Builder::new()
        .spawn(reader)
        .or_stop(Exit::Usage, || format!("{KEY}: cannot read what the command prints"))?;
    let status = ended(&mut child, limit, sleep).inspect_err(|_| {
        let _ = child.kill();
        let _ = child.wait();
    })?;
    // Without an end, what it printed until its own end is all that it meant.
    let read = all.1.recv_timeout(REST).unwrap_or(Ok(()));
    read.or_stop(Exit::Usage, || format!("{KEY}: cannot read what the command prints"))?;
    let bytes = std::mem::take(&mut *printed.lock().unwrap_or_else(PoisonError::into_inner));
    if bytes.len() as u64 <= LONGEST && !status.success() {
        return Err(Error::usage(format!("{KEY}: the command failed ({status}); run it by hand to see why")));
    }
    checked(bytes).map_err(|wrong| Error::usage(format!("{KEY}: what the command prints {wrong}")))
}

/// Reads to the end, or as much as no secret is longer; then the pipe is dropped, which stops a command that prints without end.
fn read_on(mut out: ChildStdout, so_far: &Mutex<Vec<u8>>) -> io::Result<()> {
    let mut chunk = [0; 4096];
    loop {
        let got = out.read(&mut chunk)?;
        let mut bytes = so_far.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.extend_from_slice(&chunk[..got]);
        if got == 0 || bytes.len() as u64 > LONGEST {
            return Ok(());
        }
    }
}

/// Waits for a command to end, for as long as it may take and the run goes on.
fn ended(child: &mut Child, limit: Duration, sleep: &dyn Fn(Duration) -> Result<(), Exit>) -> Result<ExitStatus> {
    const KEY: &str = "edfi_api.client_secret_command";
    let start = Instant::now();
    loop {
        let status = child.try_wait().or_stop(Exit::Usage, || format!("{KEY}: cannot wait for the command"))?;
        if let Some(status) = status {
            return Ok(status);
        }
        if start.elapsed() >= limit {
            let seconds = limit.as_secs_f64();
            let text = format!("{KEY}: the command has not ended after {seconds} s (edfi_api.client_secret_timeout)");
            return Err(Error::usage(format!("{text}; run it by hand to see why")));
        }
        sleep(LOOK).map_err(|exit| Error::new(exit, "stopped while client_secret_command was running"))?;
    }
}

fn shell(command: &str) -> Command {
    let (program, option) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    let mut shell = Command::new(program);
    shell.arg(option).arg(command);
    shell
}

/// The bytes as a secret, or what is wrong with them.
fn checked(bytes: Vec<u8>) -> Result<Secret, &'static str> {
    if bytes.len() as u64 > LONGEST {
        return Err("is longer than any secret");
    }
    let text = String::from_utf8(bytes).map_err(|_| "is not text in UTF-8")?;
    match text.trim_end() {
        "" => Err("is empty"),
        secret => Ok(Secret::new(secret)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slept(delay: Duration) -> Result<(), Exit> {
        thread::sleep(delay);
        Ok(())
    }

    fn command(command: &str) -> Result<Secret> {
        ClientSecret::Command(Secret::new(command), Duration::from_secs(60)).reveal(&slept)
    }

    #[test]
    fn a_file_holds_the_secret_and_perhaps_a_line_end() {
        let path = std::env::temp_dir().join(format!("lightbeam-secret-{}", std::process::id()));
        for (content, secret) in [("hidden", "hidden"), (" hidden two \r\n", " hidden two")] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(ClientSecret::File(path.clone()).reveal(&slept).unwrap().expose(), secret);
        }
        for (content, wrong) in
            [(&b" \n"[..], "is empty"), (&b"hidden\xff"[..], "is not text"), (&[b'h'; 70_000], "is longer")]
        {
            std::fs::write(&path, content).unwrap();
            let text = ClientSecret::File(path.clone()).reveal(&slept).unwrap_err().to_string();
            assert!(text.starts_with("edfi_api.client_secret_file: ") && text.contains(wrong), "{text}");
            assert!(!text.contains("hidden"), "{text}");
        }
        std::fs::remove_file(&path).unwrap();
        let missing = ClientSecret::File(path.clone()).reveal(&slept).unwrap_err();
        assert_eq!(missing.exit(), Exit::Usage);
        assert!(missing.to_string().contains(&path.display().to_string()), "{missing}");
    }

    #[cfg(unix)]
    #[test]
    fn a_command_prints_the_secret() {
        assert_eq!(command("printf 'hid'; echo den").unwrap().expose(), "hidden");
    }

    #[cfg(unix)]
    #[test]
    fn a_failing_command_is_told_by_its_status_and_not_by_what_it_said() {
        let error = command("echo hidden; echo hidden >&2; exit 7").unwrap_err();
        let told = "edfi_api.client_secret_command: the command failed (exit status: 7); run it by hand to see why";
        assert_eq!((error.to_string().as_str(), error.exit()), (told, Exit::Usage));
        assert!(command("true").unwrap_err().to_string().ends_with("prints is empty"));
        assert!(
            command("while :; do echo hiddenhidden; done").unwrap_err().to_string().ends_with("longer than any secret")
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_command_that_does_not_end_is_stopped_when_its_time_is_over_or_the_run_is_to_end() {
        let hanging = |limit| ClientSecret::Command(Secret::new("exec sleep 300"), limit);
        let late = hanging(Duration::from_millis(1)).reveal(&slept).unwrap_err();
        assert!(late.to_string().contains("has not ended after 0.001 s (edfi_api.client_secret_timeout)"), "{late}");
        assert_eq!(late.exit(), Exit::Usage);
        let stopped = hanging(Duration::from_secs(60)).reveal(&|_| Err(Exit::Terminated)).unwrap_err();
        assert_eq!(stopped.exit(), Exit::Terminated);
        // What a command leaves behind may hold its output open.
        assert_eq!(command("sleep 5 & echo hidden").unwrap().expose(), "hidden");
    }

    #[test]
    fn no_debug_output_shows_a_secret_or_a_command() {
        for secret in [
            ClientSecret::Given(Secret::new("hidden")),
            ClientSecret::Command(Secret::new("echo hidden"), Duration::ZERO),
        ] {
            assert!(!format!("{secret:?}").contains("hidden"));
        }
    }
}
