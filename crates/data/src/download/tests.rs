//! Downloads from a local test server: complete, resumed, interrupted, and with wrong answers.

use std::{net::TcpListener, sync::mpsc};

use crate::hash::sha256;

use super::{
    server::{Answer, Server, body},
    *,
};

/// A downloader with two attempts and no pause.
fn downloader() -> Downloader {
    Downloader {
        attempts: 2,
        pause: Duration::ZERO,
        connect_timeout: Duration::from_secs(20),
        silence_timeout: Duration::from_secs(20),
    }
}

/// A folder for a file, and its expected hash.
struct Case {
    folder: tempfile::TempDir,
    sha256: String,
}

impl Case {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), sha256: sha256(body()) }
    }

    fn to(&self) -> PathBuf {
        self.folder.path().join("new/text.txt")
    }

    fn part(&self) -> PathBuf {
        self.folder.path().join("new/text.txt.part")
    }

    fn leave_part(&self, bytes: &[u8]) {
        fs::create_dir_all(self.folder.path().join("new")).unwrap();
        fs::write(self.part(), bytes).unwrap();
    }

    /// Downloads and returns the lengths that were reported.
    fn download(&self, downloader: &Downloader, url: &str) -> Result<Vec<u64>> {
        let mut reported = Vec::new();
        let remote = RemoteFile { url, bytes: body().len() as u64, sha256: &self.sha256 };
        downloader.download(&remote, &self.to(), &mut |progress| {
            assert_eq!((progress.file, progress.total_bytes), ("text.txt", body().len() as u64));
            reported.push(progress.received_bytes);
        })?;
        Ok(reported)
    }

    #[track_caller]
    fn assert_complete(&self) {
        assert!(fs::read(self.to()).unwrap() == body(), "the file differs");
        assert!(!self.part().exists(), "the part is still there");
    }
}

#[test]
fn a_file_arrives_whole() {
    let (case, server) = (Case::new(), Server::start([Answer::Honest]));
    let reported = case.download(&downloader(), &server.url("text.txt")).unwrap();
    case.assert_complete();
    assert_eq!(server.requests(), [("/text.txt".to_owned(), None)]);
    assert_eq!((reported[0], reported.last()), (0, Some(&(body().len() as u64))));
    assert!(reported.is_sorted() && reported.len() > 3, "{reported:?}");
}

#[test]
fn a_cut_connection_is_resumed_where_it_broke() {
    let (case, server) = (Case::new(), Server::start([Answer::CutAfter(70_000), Answer::Honest]));
    let reported = case.download(&downloader(), &server.url("text.txt")).unwrap();
    case.assert_complete();
    let ranges: Vec<_> = server.requests().into_iter().map(|(_, range)| range).collect();
    assert_eq!(ranges, [None, Some("bytes=70000-".to_owned())]);
    assert!(reported.is_sorted(), "{reported:?}");
}

#[test]
fn a_part_of_an_earlier_run_is_completed() {
    let (case, server) = (Case::new(), Server::start([Answer::Honest]));
    case.leave_part(&body()[..1000]);
    let reported = case.download(&downloader(), &server.url("text.txt")).unwrap();
    case.assert_complete();
    assert_eq!(server.requests(), [("/text.txt".to_owned(), Some("bytes=1000-".to_owned()))]);
    assert_eq!(reported[0], 1000);
}

#[test]
fn a_part_that_is_whole_needs_no_server() {
    let case = Case::new();
    case.leave_part(&body());
    case.download(&downloader(), "http://127.0.0.1:1/unused").unwrap();
    case.assert_complete();
}

#[test]
fn a_server_that_ignores_the_range_sends_all_again() {
    let (case, server) = (Case::new(), Server::start([Answer::IgnoresRange]));
    case.leave_part(b"something else");
    case.download(&downloader(), &server.url("text.txt")).unwrap();
    case.assert_complete();
}

#[test]
fn a_part_that_cannot_be_continued_is_given_up() {
    for first in [Answer::OtherRange, Answer::Status(416)] {
        let (case, server) = (Case::new(), Server::start([first, Answer::Honest]));
        case.leave_part(b"something else");
        case.download(&downloader(), &server.url("text.txt")).unwrap();
        case.assert_complete();
        let ranges: Vec<_> = server.requests().into_iter().map(|(_, range)| range).collect();
        assert_eq!(ranges, [Some("bytes=14-".to_owned()), None]);
    }
}

#[test]
fn a_part_that_is_too_long_is_given_up() {
    let (case, server) = (Case::new(), Server::start([Answer::Honest]));
    case.leave_part(&vec![0; body().len() + 1]);
    case.download(&downloader(), &server.url("text.txt")).unwrap();
    case.assert_complete();
}

#[test]
fn another_hash_is_refused_and_its_bytes_deleted() {
    let (mut case, server) = (Case::new(), Server::start([Answer::Honest]));
    let found = std::mem::replace(&mut case.sha256, "0".repeat(64));
    let url = server.url("text.txt");
    let error = case.download(&downloader(), &url).unwrap_err();
    assert_eq!(error.to_string(), format!("`{url}` has SHA-256 {found}, expected {}", "0".repeat(64)));
    assert!(!case.part().exists() && !case.to().exists());
}

#[test]
fn another_length_is_refused_before_it_is_received() {
    let (case, server) = (Case::new(), Server::start([Answer::OtherFile]));
    let url = server.url("text.txt");
    let error = case.download(&downloader(), &url).unwrap_err();
    assert_eq!(error.to_string(), format!("`{url}` has 5 bytes, expected {}", body().len()));
    assert!(!case.to().exists());
}

#[test]
fn a_file_without_end_is_refused() {
    let (case, server) = (Case::new(), Server::start([Answer::NoEnd]));
    let error = case.download(&downloader(), &server.url("text.txt")).unwrap_err();
    assert!(matches!(error, DataError::RemoteSize { .. }), "{error:?}");
    assert!(!case.part().exists());
}

#[test]
fn a_missing_file_is_not_asked_for_twice() {
    let (case, server) = (Case::new(), Server::start([Answer::Status(404), Answer::Honest]));
    let url = server.url("text.txt");
    let error = case.download(&downloader(), &url).unwrap_err();
    assert_eq!(error.to_string(), format!("could not download `{url}`: the server returned HTTP status 404"));
    assert_eq!(server.requests().len(), 1);
    assert!(!case.part().exists());
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    let (case, server) = (Case::new(), Server::start([Answer::Status(503), Answer::Honest]));
    case.download(&downloader(), &server.url("text.txt")).unwrap();
    case.assert_complete();
    let (case, server) =
        (Case::new(), Server::start([Answer::Status(503), Answer::Status(500), Answer::Honest]));
    let error = case.download(&downloader(), &server.url("text.txt")).unwrap_err();
    assert!(matches!(error, DataError::HttpStatus { status: 500, .. }), "{error:?}");
}

#[test]
fn a_refused_connection_is_an_error_that_keeps_the_part() {
    let case = Case::new();
    case.leave_part(b"beginning");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}/text.txt");
    let error = case.download(&downloader(), &url).unwrap_err();
    assert_eq!(error.to_string(), format!("could not download `{url}`"));
    assert!(matches!(error, DataError::Transfer { .. }), "{error:?}");
    assert_eq!(fs::read(case.part()).unwrap(), b"beginning");
}

#[test]
fn a_silent_server_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/text.txt", listener.local_addr().unwrap());
    let (done, wait) = mpsc::channel::<()>();
    let server = thread::spawn(move || {
        let _connection = listener.accept().unwrap();
        // Ends when the test drops its end.
        let _ = wait.recv();
    });
    let case = Case::new();
    let patience = Duration::from_millis(20);
    let impatient = Downloader { attempts: 1, silence_timeout: patience, ..downloader() };
    let error = case.download(&impatient, &url).unwrap_err();
    assert!(matches!(error, DataError::Transfer { .. }), "{error:?}");
    drop(done);
    server.join().unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    let case = Case::new();
    fs::write(case.folder.path().join("new"), "a file, not a folder").unwrap();
    let error = case.download(&downloader(), "http://127.0.0.1:1/unused").unwrap_err();
    assert!(matches!(&error, DataError::Write { path, .. } if path.ends_with("new")), "{error:?}");
}

#[test]
fn two_downloads_of_one_file_do_not_mix() {
    let case = Case::new();
    fs::create_dir_all(case.folder.path().join("new")).unwrap();
    let other = PartFile::open(&case.to()).unwrap();
    let error = case.download(&downloader(), "http://127.0.0.1:1/unused").unwrap_err();
    assert_eq!(error.to_string(), format!("another process is downloading to `{}`", case.part().display()));
    drop(other);
}
