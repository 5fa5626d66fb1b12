//! Makes each exchange cost few calls of the operating system.
//!
//! The client by itself writes head and body of a request apart, sets three timeouts a request and looks twice whether
//! a connection still stands. A loader that sends small payloads spends most of its time with that. Here head and body
//! go out together, timeouts change by whole seconds, and the look that follows an answer at once is saved; the one
//! before the next request stays, and so does every check of what was read.

use std::time::Duration;

use ureq::Error;
use ureq::unversioned::transport::time::Duration as Limit;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport};

use super::idle::Idle;

/// Makes connections of another kind gather what they send, and notice when nothing moves.
#[derive(Debug)]
pub struct Gathering(pub Idle);

impl<In: Transport> Connector<In> for Gathering {
    type Out = Gathered<In>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Gathered<In>>, Error> {
        let input = LazyBuffers::new(details.config.input_buffer_size(), 1);
        Ok(chained.map(|inner| Gathered { inner, input, pending: 0, just_used: false, idle: self.0.clone() }))
    }
}

/// A connection that gathers what it sends.
#[derive(Debug)]
pub struct Gathered<In> {
    inner: In,
    /// What has been read; only this half of it is used, the output is that of `inner`.
    input: LazyBuffers,
    /// Bytes at the beginning of the output buffer that have not been sent yet.
    pending: usize,
    /// Whether nothing but an answer has come since anybody looked.
    just_used: bool,
    /// How long it may stay without a byte.
    idle: Idle,
}

impl<In: Transport> Gathered<In> {
    fn flush(&mut self, timeout: NextTimeout) -> Result<(), Error> {
        match std::mem::take(&mut self.pending) {
            0 => Ok(()),
            amount => {
                self.idle.wait_for_output(timeout, |timeout| self.inner.transmit_output(amount, rounded(timeout)))
            }
        }
    }
}

impl<In: Transport> Transport for Gathered<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.pending += amount;
        // Nothing waits for an answer to a part of a request, so the rest can wait for more or for the end.
        match self.pending * 2 < self.inner.buffers().output().len() {
            true => Ok(()),
            false => self.flush(timeout),
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.flush(timeout)?;
        self.just_used = true;
        if self.inner.buffers().input().is_empty() {
            self.idle.wait_for_input(timeout, |timeout| self.inner.await_input(rounded(timeout)))?;
        }
        let read = self.inner.buffers().input();
        let room = self.input.input_append_buf();
        let amount = read.len().min(room.len());
        room[..amount].copy_from_slice(&read[..amount]);
        self.input.input_appended(amount);
        self.inner.buffers().input_consume(amount);
        // Nothing is no progress either where it is for want of room: whoever waits would wait forever.
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        let nothing_left = self.inner.buffers().input().is_empty();
        nothing_left && (std::mem::take(&mut self.just_used) || self.inner.is_open())
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

impl<In: Transport> Buffers for Gathered<In> {
    fn output(&mut self) -> &mut [u8] {
        &mut self.inner.buffers().output()[self.pending..]
    }

    fn input(&self) -> &[u8] {
        self.input.input()
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        self.input.input_append_buf()
    }

    fn input_appended(&mut self, amount: usize) {
        self.input.input_appended(amount);
    }

    fn input_consume(&mut self, amount: usize) {
        self.input.input_consume(amount);
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        let (tmp, output) = self.inner.buffers().tmp_and_output();
        (tmp, &mut output[self.pending..])
    }

    fn can_use_input(&self) -> bool {
        self.input.can_use_input()
    }
}

/// The limit in whole seconds, if it has any: what is left of it differs each time, and to set it costs a call.
fn rounded(timeout: NextTimeout) -> NextTimeout {
    match timeout.after {
        Limit::Exact(after) if after > Duration::from_secs(1) => {
            NextTimeout { after: Limit::from_secs(after.as_secs() + u64::from(after.subsec_nanos() > 0)), ..timeout }
        }
        _ => timeout,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_above_a_second_are_whole_seconds_and_never_shorter() {
        let rounded = |after| {
            let timeout = NextTimeout { after, ..NextTimeout::default() };
            super::rounded(timeout).after
        };
        let millis = Limit::from_millis;
        assert_eq!(rounded(millis(59_001)), millis(60_000));
        assert_eq!(rounded(millis(59_000)), millis(59_000));
        assert_eq!(rounded(millis(1_001)), millis(2_000));
        assert_eq!(rounded(millis(999)), millis(999));
        assert_eq!(rounded(Limit::NotHappening), Limit::NotHappening);
    }
}
