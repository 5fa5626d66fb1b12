//! Accepts connections and serves each in a thread of its own.

use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

use fxhash::FxHashMap;

use super::http::{Broken, Connection};
use super::lock::hold;
use super::problem::Problem;
use super::service::{After, Service};

/// Serves until the service is asked to stop; then ends every connection and returns when the last thread is done.
pub fn serve(listener: &TcpListener, service: &Service) {
    let open: Mutex<FxHashMap<u64, TcpStream>> = Mutex::default();
    std::thread::scope(|scope| {
        for (number, accepted) in (0u64..).zip(listener.incoming()) {
            if service.stop.is_asked() {
                break;
            }
            // Too many open files, or a client that went away: neither ends the sandbox.
            let prepared = accepted.and_then(|stream| {
                stream.set_nodelay(true)?;
                Ok((stream.try_clone()?, stream))
            });
            let Ok((stream, other)) = prepared else {
                service.stop.sleep(Duration::from_millis(10));
                continue;
            };
            service.watch.connected();
            // The kernel has taken the connection; closed at once, it is of as little use as one refused.
            if service.restart.is_down() {
                continue;
            }
            hold(&open).insert(number, other);
            let open = &open;
            let thread = std::thread::Builder::new().name("sandbox".into()).stack_size(512 << 10);
            let spawned = thread.spawn_scoped(scope, move || {
                converse(Connection::new(stream), service);
                hold(open).remove(&number);
            });
            if spawned.is_err() {
                hold(open).remove(&number);
            }
        }
        for stream in hold(&open).values() {
            // One that is closed already is what is wanted.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    });
}

/// Answers one request after the other until either side has enough.
fn converse(mut connection: Connection, service: &Service) {
    let mut wire = Vec::new();
    loop {
        wire.clear();
        let after = match connection.next() {
            Ok(request) => service.answer(&request, &mut wire),
            Err(Broken::Closed) => return,
            Err(Broken::TooLarge) => {
                service.refuse(&Problem::TooLarge, &mut wire);
                After::Close
            }
            Err(Broken::Malformed) => {
                service.refuse(&Problem::NotAnObject("The request is not HTTP/1.1.".into()), &mut wire);
                After::Close
            }
        };
        match after {
            After::Cut => return connection.cut(),
            After::Hang => return connection.hang(),
            After::Next | After::Close if connection.send(&wire).is_err() => return,
            After::Next => {}
            After::Close => return connection.cut(),
        }
    }
}
