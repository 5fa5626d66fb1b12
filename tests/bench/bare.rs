//! The yardstick: what posting costs without everything that makes a loader. A process of its own, so that its cost can be told.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use rayon::prelude::*;
use ureq::Agent;

/// The argument that makes the bench be the bare loop.
pub const NAME: &str = "bare-loop";

/// This program as the bare loop.
pub fn command(url: &str, data: &Path, workers: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
    command.args([NAME, url]).arg(data).arg(workers.to_string());
    command
}

/// Posts every line of every file in `data`.
pub fn post_all(url: &str, data: &Path, workers: usize) {
    let config = Agent::config_builder().max_idle_connections(workers).max_idle_connections_per_host(workers);
    let agent = Agent::new_with_config(config.build());
    let login = agent.post(format!("{url}/oauth/token")).content_type("application/x-www-form-urlencoded");
    let form = "grant_type=client_credentials&client_id=key&client_secret=secret";
    let answer = login.send(form).and_then(|mut answer| answer.body_mut().read_to_string()).expect("a token");
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    let bearer = format!("Bearer {}", answer["access_token"].as_str().expect("a token"));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build().expect("threads");
    for file in fs::read_dir(data).expect("the data folder") {
        let file = file.expect("an entry").path();
        let resource = file.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        let url = format!("{url}/data/v3/ed-fi/{resource}");
        let text = fs::read(&file).expect("a data file");
        let lines: Vec<_> = text.trim_ascii_end().split(|&b| b == b'\n').collect();
        let post = |line: &&[u8]| {
            let request = agent.post(&url).header("Authorization", &bearer).content_type("application/json");
            let answer = request.send(*line).expect("an answer");
            answer.into_body().into_reader().read_to_end(&mut Vec::new()).expect("its body");
        };
        pool.install(|| lines.par_iter().for_each(post));
    }
}
