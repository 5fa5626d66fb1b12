//! Hears an answer that came before the request was over.
//!
//! A gateway that does not want a payload as large as this one says so at once (413), takes in some more of it out of politeness, and
//! closes the connection (nginx: `lingering_time`). Sending then fails while the answer waits to be read. To repeat that
//! would help nobody. So where a host takes no more, its answer is looked for; what broke counts only if there is none.
//!
//! This stands below TLS, which reads nothing as long as it has something left to send.

use std::io::ErrorKind;

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Makes connections of another kind hear early answers.
#[derive(Debug, Default)]
pub struct Early;

impl<In: Transport> Connector<In> for Early {
    type Out = Hearing<In>;

    fn connect(&self, _: &ConnectionDetails, chained: Option<In>) -> Result<Option<Hearing<In>>, Error> {
        Ok(chained.map(|inner| Hearing { inner, cut: None }))
    }
}

/// A connection that hears early answers.
#[derive(Debug)]
pub struct Hearing<In> {
    inner: In,
    /// Why nothing more can be sent.
    cut: Option<Error>,
}

impl<In: Transport> Transport for Hearing<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.cut.is_some() {
            return Ok(());
        }
        match self.inner.transmit_output(amount, timeout) {
            Err(Error::Io(error)) if is_cut(error.kind()) => {
                self.cut = Some(Error::Io(error));
                Ok(())
            }
            other => other,
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        match (self.inner.await_input(timeout), self.cut.take()) {
            (Ok(true), _) => Ok(true),
            (_, Some(cut)) => Err(cut),
            (nothing, None) => nothing,
        }
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// Whether the host has closed the connection, which may come with an answer.
fn is_cut(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted)
}
