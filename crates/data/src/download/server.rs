//! A test server on this machine that gives prescribed answers, including wrong ones.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
};

/// The content of every path: longer than a few blocks, with no period that could hide a wrong block.
pub(crate) fn body() -> Vec<u8> {
    (0..200_003_u32).map(|position| (position % 509 * (position % 241)) as u8).collect()
}

/// How to answer a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// The requested bytes.
    Honest,
    /// The requested bytes, but the connection is closed after this many bytes.
    CutAfter(usize),
    /// The whole file, even if a range was requested.
    IgnoresRange,
    /// A range that was not requested.
    OtherRange,
    /// A file of five bytes.
    OtherFile,
    /// More bytes than the file has, without an announced length.
    NoEnd,
    /// Only a status.
    Status(u16),
}

/// A server that gives one answer to each connection, in order.
pub(crate) struct Server {
    address: SocketAddr,
    requests: mpsc::Receiver<(String, Option<String>)>,
}

impl Server {
    /// Starts the server on a free port. Its thread ends with the last answer or the process.
    pub(crate) fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::channel();
        let answers: Vec<Answer> = answers.into_iter().collect();
        thread::spawn(move || {
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                let request = read_request(&stream);
                // Sent before the answer, so that the request is available to a client that has the answer.
                let range = request.1.clone();
                if sender.send(request).is_err() {
                    return;
                }
                // A client can hang up at any time.
                let _ = reply(stream, answer, range.as_deref());
            }
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// The path and the range of each request so far.
    pub(crate) fn requests(&self) -> Vec<(String, Option<String>)> {
        self.requests.try_iter().collect()
    }
}

fn read_request(stream: &TcpStream) -> (String, Option<String>) {
    let mut lines = BufReader::new(stream).lines().map(|line| line.unwrap());
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let range = headers.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("range").then(|| value.to_owned())
    });
    (path, range)
}

fn reply(mut stream: TcpStream, answer: Answer, range: Option<&str>) -> std::io::Result<()> {
    let body = body();
    let asked: Option<usize> =
        range.map(|range| range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap());
    let from = asked.unwrap_or(0);
    let (status, headers, sent) = match answer {
        Answer::Honest | Answer::CutAfter(_) => {
            let rest = &body[from..];
            let partial = format!("Content-Range: bytes {from}-{}/{}\r\n", body.len() - 1, body.len());
            let length = format!("Content-Length: {}\r\n", rest.len());
            let until = if let Answer::CutAfter(bytes) = answer { bytes } else { rest.len() };
            match asked {
                Some(_) => (206, partial + &length, &rest[..until]),
                None => (200, length, &rest[..until]),
            }
        }
        Answer::IgnoresRange => (200, format!("Content-Length: {}\r\n", body.len()), &body[..]),
        Answer::OtherRange => {
            let other = &body[from + 1..];
            let headers = format!(
                "Content-Range: bytes {}-{}/{}\r\nContent-Length: {}\r\n",
                from + 1,
                body.len() - 1,
                body.len(),
                other.len()
            );
            (206, headers, other)
        }
        Answer::OtherFile => (200, "Content-Length: 5\r\n".to_owned(), &body[..5]),
        Answer::NoEnd => (200, String::new(), &body[..]),
        Answer::Status(status) => (status, "Content-Length: 0\r\n".to_owned(), &body[..0]),
    };
    stream.write_all(format!("HTTP/1.1 {status} Status\r\n{headers}Connection: close\r\n\r\n").as_bytes())?;
    stream.write_all(sent)?;
    if matches!(answer, Answer::NoEnd) {
        stream.write_all(&body)?;
    }
    Ok(())
}
