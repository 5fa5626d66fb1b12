//! HTTP/1.1 on one connection: reads requests, one after the other, into buffers that are used again, and writes each answer at once.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

/// The largest body, in bytes.
const LARGEST_BODY: usize = 64 << 20;
/// The largest head, in bytes.
const LARGEST_HEAD: usize = 64 << 10;
/// What a read asks for, in bytes.
const CHUNK: usize = 16 << 10;

/// A client's connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What was read and not yet answered: `buffer[start..end]`.
    start: usize,
    end: usize,
    /// A body that came in chunks.
    chunked: Vec<u8>,
}

/// A request as it came.
#[derive(Default)]
pub struct Request<'c> {
    /// Such as `POST`.
    pub method: &'c str,
    /// Without the query.
    pub path: &'c str,
    /// Behind the `?`.
    pub query: &'c str,
    /// The header of this name.
    pub authorization: Option<&'c str>,
    /// The header of this name.
    pub accept: Option<&'c str>,
    /// The header of this name.
    pub content_type: Option<&'c str>,
    /// The header `correlation-id`.
    pub correlation_id: Option<&'c str>,
    /// The header of this name.
    pub if_none_match: Option<&'c str>,
    /// The whole body.
    pub body: &'c [u8],
    /// Whether the client will not use the connection again.
    pub closes: bool,
}

/// Where a request ends.
struct Framing {
    /// The length of the head.
    head: usize,
    /// The length of the body, if it does not come in chunks.
    body: usize,
    is_chunked: bool,
    expects_continue: bool,
}

/// Why there is no next request.
#[derive(Debug)]
pub enum Broken {
    /// The connection ended, or failed.
    Closed,
    /// What came is not HTTP/1.1.
    Malformed,
    /// A body or a head that is too long.
    TooLarge,
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Broken {
        Broken::Closed
    }
}

impl Connection {
    /// Takes over `stream`.
    pub fn new(stream: TcpStream) -> Connection {
        Connection { stream, buffer: vec![0; CHUNK], start: 0, end: 0, chunked: Vec::new() }
    }

    /// Waits for the next request.
    pub fn next(&mut self) -> Result<Request<'_>, Broken> {
        let framing = loop {
            if let Some((framing, _)) = head(&self.buffer[self.start..self.end])? {
                break framing;
            }
            if self.end - self.start > LARGEST_HEAD {
                return Err(Broken::TooLarge);
            }
            self.fill()?;
        };
        if framing.body > LARGEST_BODY {
            return Err(Broken::TooLarge);
        }
        if framing.expects_continue {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let whole = match framing.is_chunked {
            true => self.read_chunks(framing.head)?,
            false => framing.head + framing.body,
        };
        while self.end - self.start < whole {
            self.reserve(whole);
            self.fill()?;
        }
        let bytes = &self.buffer[self.start..self.start + whole];
        self.start += whole;
        let (_, mut request) = head(bytes)?.ok_or(Broken::Malformed)?;
        request.body = if framing.is_chunked { &self.chunked } else { &bytes[framing.head..] };
        Ok(request)
    }

    /// Sends an answer.
    pub fn send(&mut self, answer: &[u8]) -> io::Result<()> {
        self.stream.write_all(answer)
    }

    /// Ends the connection without another byte.
    pub fn cut(&self) {
        // It may be closed already, which is what is wanted.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Waits until the client, or whoever stops the sandbox, closes the connection.
    pub fn hang(&mut self) {
        while let Ok(1..) = self.stream.read(&mut self.buffer) {}
    }

    /// Reads what there is, at least a byte.
    fn fill(&mut self) -> Result<(), Broken> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            self.reserve(self.end + CHUNK);
        }
        match self.stream.read(&mut self.buffer[self.end..])? {
            0 => Err(Broken::Closed),
            read => {
                self.end += read;
                Ok(())
            }
        }
    }

    /// Room for a request of `length` bytes.
    fn reserve(&mut self, length: usize) {
        if self.buffer.len() < self.start + length {
            self.buffer.resize(self.start + length, 0);
        }
    }

    /// Reads a body in chunks (RFC 9112, 7.1) behind a head of `head` bytes. Returns the length of the whole request.
    fn read_chunks(&mut self, head: usize) -> Result<usize, Broken> {
        self.chunked.clear();
        let mut at = head;
        loop {
            let line = loop {
                match httparse::parse_chunk_size(&self.buffer[self.start + at..self.end]) {
                    Ok(httparse::Status::Complete(line)) => break line,
                    Ok(httparse::Status::Partial) => self.fill()?,
                    Err(_) => return Err(Broken::Malformed),
                }
            };
            let size = usize::try_from(line.1).ok().filter(|size| self.chunked.len() + size <= LARGEST_BODY);
            let size = size.ok_or(Broken::TooLarge)?;
            at += line.0;
            if size == 0 {
                break;
            }
            while self.end - self.start < at + size + 2 {
                self.reserve(at + size + 2);
                self.fill()?;
            }
            let from = self.start + at;
            self.chunked.extend_from_slice(&self.buffer[from..from + size]);
            at += size + 2;
        }
        // Trailers end, as a head does, with an empty line.
        loop {
            let rest = &self.buffer[self.start + at..self.end];
            match memchr::memchr(b'\n', rest) {
                Some(line) => {
                    at += line + 1;
                    if rest[..line].trim_ascii().is_empty() {
                        return Ok(at);
                    }
                }
                None => self.fill()?,
            }
        }
    }
}

/// The head at the start of `bytes`; `None` if its end is not there yet.
fn head(bytes: &[u8]) -> Result<Option<(Framing, Request<'_>)>, Broken> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(Broken::Malformed),
    };
    let (Some(method), Some(target)) = (parsed.method, parsed.path) else { return Err(Broken::Malformed) };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request { method, path, query, closes: parsed.version == Some(0), ..Request::default() };
    let mut framing = Framing { head: length, body: 0, is_chunked: false, expects_continue: false };
    for header in parsed.headers.iter() {
        let value = || std::str::from_utf8(header.value).ok();
        let is = |value: &str| header.value.eq_ignore_ascii_case(value.as_bytes());
        let named = |name: &str| header.name.eq_ignore_ascii_case(name);
        match header.name.len() {
            6 if named("accept") => request.accept = value(),
            6 if named("expect") => framing.expects_continue = is("100-continue"),
            10 if named("connection") => request.closes = is("close"),
            12 if named("content-type") => request.content_type = value(),
            13 if named("authorization") => request.authorization = value(),
            13 if named("if-none-match") => request.if_none_match = value(),
            14 if named("content-length") => {
                framing.body = value().and_then(|value| value.parse().ok()).ok_or(Broken::Malformed)?;
            }
            14 if named("correlation-id") => request.correlation_id = value(),
            17 if named("transfer-encoding") => framing.is_chunked = is("chunked"),
            _ => {}
        }
    }
    Ok(Some((framing, request)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What a connection makes of `pieces`, each sent by itself.
    fn bodies(pieces: &[&[u8]]) -> Vec<Result<(String, Vec<u8>), String>> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut connection = Connection::new(listener.accept().unwrap().0);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                client.set_nodelay(true).unwrap();
                pieces.iter().for_each(|piece| client.write_all(piece).unwrap());
            });
            let mut all = Vec::new();
            loop {
                match connection.next() {
                    Ok(request) => all.push(Ok((request.path.to_owned(), request.body.to_vec()))),
                    Err(Broken::Closed) => return all,
                    Err(other) => {
                        all.push(Err(format!("{other:?}")));
                        return all;
                    }
                }
            }
        })
    }

    fn body(path: &str, body: &[u8]) -> Result<(String, Vec<u8>), String> {
        Ok((path.to_owned(), body.to_vec()))
    }

    #[test]
    fn requests_on_one_connection_are_told_apart() {
        let both = b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPOST /b HTTP/1.1\r\ncontent-length: 0\r\n\r\nGET /c?x=1 HTTP/1.1\r\n\r\n";
        let expected = [body("/a", b"abc"), body("/b", b""), body("/c", b"")];
        assert_eq!(bodies(&[both]), expected);
        let bytes: Vec<&[u8]> = both.chunks(1).collect();
        assert_eq!(bodies(&bytes), expected);
    }

    #[test]
    fn a_body_in_chunks_is_put_together() {
        let chunked = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: x\r\n\r\nGET /b HTTP/1.1\r\n\r\n";
        let expected = [body("/a", b"abcde"), body("/b", b"")];
        assert_eq!(bodies(&[chunked]), expected);
        let bytes: Vec<&[u8]> = chunked.chunks(1).collect();
        assert_eq!(bodies(&bytes), expected);
    }

    #[test]
    fn a_body_larger_than_the_buffer_arrives_whole() {
        let large = vec![b'x'; 3 << 20];
        let head = format!("POST /a HTTP/1.1\r\nContent-Length: {}\r\n\r\n", large.len());
        assert!(bodies(&[head.as_bytes(), &large]) == [body("/a", &large)]);
    }

    #[test]
    fn what_is_too_long_or_not_http_is_told() {
        assert_eq!(bodies(&[b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"]), [Err("TooLarge".into())]);
        assert_eq!(bodies(&[b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"]), [Err("Malformed".into())]);
        assert_eq!(bodies(&[b"\x16\x03\x01 no\r\n\r\n"]), [Err("Malformed".into())]);
    }
}
