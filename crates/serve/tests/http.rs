//! The server from outside: its routes, errors and limits, through a plain connection.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rondo_data::{TextCodec, Tokenizer, Vocab};
use rondo_infer::{LanguageModel, Sampling, StopRule, StreamOptions};
use rondo_kernels::Device;
use rondo_nn::{Initialization, Input, PRESETS, RnnLm};
use rondo_serve::{ApiKeys, Limits, ServeError, ServeOptions, Server, Stopper};
use serde_json::{Value, json};

const WORDS: [&str; 7] = ["<unk>", "<eos>", "the", "cat", "sat", "on", "mat"];

fn model() -> LanguageModel {
    let mut config = PRESETS[0].config(WORDS.len());
    config.hidden_sizes = vec![8];
    config.input = Input::Embedding(8);
    let mut model = RnnLm::new(config, &Device::cpu(1).unwrap()).unwrap();
    model.initialize(&Initialization::default(), &mut ChaCha8Rng::seed_from_u64(3)).unwrap();
    let vocab = Vocab::from_tokens("test", WORDS, Some("<unk>")).unwrap();
    LanguageModel::new(model, TextCodec::new(Tokenizer::words(), vocab)).unwrap()
}

/// A server that runs until it is dropped.
struct Running {
    address: std::net::SocketAddr,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn new(options: ServeOptions) -> Running {
        let models = vec![("small".to_owned(), model()), ("other".to_owned(), model())];
        let server = Server::bind(models, ServeOptions { port: 0, ..options }).unwrap();
        let (address, stopper) = (server.address(), server.stopper());
        let thread = thread::spawn(move || server.run().unwrap());
        Running { address, stopper, thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends these bytes and returns the status and the whole rest of the answer.
    fn raw(&self, bytes: &[u8]) -> (u16, String) {
        let mut stream = self.connect();
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(bytes);
        let mut answer = vec![];
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, answer)
    }

    fn get(&self, path: &str) -> (u16, String) {
        let (status, answer) = self
            .raw(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes());
        (status, body(&answer))
    }

    fn post(&self, path: &str, request: &Value) -> (u16, Value) {
        let (status, text) = self.post_text(path, &request.to_string(), "");
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    fn post_text(&self, path: &str, request: &str, headers: &str) -> (u16, String) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
            request.len()
        );
        let (status, answer) = self.raw(&[head.as_bytes(), request.as_bytes()].concat());
        (status, body(&answer))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop();
        self.thread.take().unwrap().join().unwrap();
    }
}

/// The body of an answer, also of one that was sent in chunks.
fn body(answer: &str) -> String {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return String::new() };
    if !head.to_lowercase().contains("transfer-encoding: chunked") {
        return body.to_owned();
    }
    let (mut rest, mut joined) = (body, String::new());
    while let Some((len, after)) = rest.split_once("\r\n") {
        let len = usize::from_str_radix(len, 16).unwrap();
        joined.push_str(&after[..len]);
        rest = &after[(len + 2).min(after.len())..];
    }
    joined
}

/// The events of a stream, and whether it ended as it should.
fn events(text: &str) -> (Vec<Value>, bool) {
    let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let is_done = data.last() == Some(&"[DONE]");
    let events =
        data.iter().filter(|data| **data != "[DONE]").map(|data| serde_json::from_str(data).unwrap());
    (events.collect(), is_done)
}

fn generated(prompt: &str, seed: u64, sampling: Sampling, tokens: usize) -> String {
    let stop = StopRule { max_tokens: Some(tokens), ..StopRule::default() };
    model().generate(prompt, StreamOptions { sampling, seed, stop, ..StreamOptions::default() }).unwrap()
}

#[test]
fn a_completion_is_what_the_library_generates() {
    let server = Running::new(ServeOptions::default());
    let request =
        json!({ "model": "other", "prompt": "the cat", "max_tokens": 12, "seed": 7, "temperature": 0.5 });
    let (status, answer) = server.post("/v1/completions", &request);
    let expected = generated("the cat", 7, Sampling { temperature: 0.5, ..Sampling::default() }, 12);
    assert_eq!((status, answer["choices"][0]["text"].as_str()), (200, Some(&*expected)), "{answer}");
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(
        (answer["object"].as_str(), answer["model"].as_str()),
        (Some("text_completion"), Some("other"))
    );
    assert_eq!(answer["usage"], json!({ "prompt_tokens": 2, "completion_tokens": 12, "total_tokens": 14 }));

    let stream = json!({
        "prompt": "the cat", "max_tokens": 12, "seed": 7, "temperature": 0.5, "stream": true,
        "stream_options": { "include_usage": true },
    });
    let (status, text) = server.post_text("/v1/completions", &stream.to_string(), "");
    let (events, is_done) = events(&text);
    assert!(status == 200 && is_done, "{text}");
    let pieces: String = events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect();
    assert_eq!(pieces, expected);
    assert_eq!(events.last().unwrap()["usage"]["completion_tokens"], 12);
    assert_eq!(events[events.len() - 2]["choices"][0]["finish_reason"], "length");
}

#[test]
fn lists_of_prompts_and_token_ids_have_their_own_choices() {
    let server = Running::new(ServeOptions::default());
    let ask = |prompt: Value| {
        let request = json!({ "prompt": prompt, "n": 2, "max_tokens": 5, "seed": 1 });
        let (status, answer) = server.post("/v1/completions", &request);
        assert_eq!(status, 200, "{answer}");
        answer["choices"].as_array().unwrap().clone()
    };
    let choices = ask(json!(["the", "the cat"]));
    let indices: Vec<&Value> = choices.iter().map(|choice| &choice["index"]).collect();
    assert_eq!(indices, [0, 1, 2, 3]);
    assert_eq!(choices[0]["text"], generated("the", 1, Sampling::default(), 5));
    assert_eq!(choices[2]["text"], generated("the cat", 1, Sampling::default(), 5));
    // A text is read after a line end; ids are read as they are.
    assert_eq!(ask(json!([1, 2, 3])), ask(json!("the cat")));
    assert_eq!(ask(json!([[1, 2], [1, 2, 3]])), choices);
}

#[test]
fn log_probabilities_are_those_of_the_model() {
    let server = Running::new(ServeOptions::default());
    let request = json!({ "prompt": "the cat", "max_tokens": 3, "seed": 2, "logprobs": 2, "echo": true });
    let (_, answer) = server.post("/v1/completions", &request);
    let choice = &answer["choices"][0];
    let text = choice["text"].as_str().unwrap();
    assert!(text.starts_with("the cat"), "{text}");
    let log_probs = &choice["logprobs"];
    let tokens: Vec<&str> =
        log_probs["tokens"].as_array().unwrap().iter().map(|token| token.as_str().unwrap()).collect();
    assert_eq!((tokens.len(), &tokens[..2]), (5, &["the", "cat"][..]));
    let sum: f64 =
        log_probs["token_logprobs"].as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).sum();
    let ids: Vec<u32> =
        tokens.iter().map(|&token| WORDS.iter().position(|&word| word == token).unwrap() as u32).collect();
    let scoring = rondo_infer::Scoring { start: Some(1), ..rondo_infer::Scoring::default() };
    let expected = model().scorer(scoring).unwrap().score(&[&ids[..]]).unwrap()[0].log_prob_sum;
    assert!((sum - expected).abs() < 1e-4, "{sum} {expected}");
    assert_eq!(log_probs["top_logprobs"][0].as_object().unwrap().len(), 2);
    assert_eq!(log_probs["text_offset"][1], 3);

    // Nothing is generated, only scored.
    let request = json!({ "prompt": "the cat", "max_tokens": 0, "logprobs": 0, "echo": true });
    let (_, scored) = server.post("/v1/completions", &request);
    assert_eq!(scored["choices"][0]["text"], "the cat");
    assert_eq!(scored["choices"][0]["logprobs"]["token_logprobs"][1], log_probs["token_logprobs"][1]);
    let stream = json!({ "prompt": "the cat", "max_tokens": 0, "echo": true, "stream": true });
    let (events, is_done) = events(&server.post_text("/v1/completions", &stream.to_string(), "").1);
    assert!(is_done && events.len() == 1 && events[0]["choices"][0]["text"] == "the cat", "{events:?}");
}

#[test]
fn a_text_ends_before_a_stop_string_and_the_best_are_chosen() {
    let server = Running::new(ServeOptions::default());
    let request = json!({ "prompt": "the", "max_tokens": 300, "seed": 3, "stop": ["cat", "mat"] });
    let (_, answer) = server.post("/v1/completions", &request);
    let text = answer["choices"][0]["text"].as_str().unwrap();
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert!(!text.contains("cat") && !text.contains("mat"), "{text}");

    let ask = |n: usize| {
        let request =
            json!({ "prompt": "the", "max_tokens": 6, "seed": 3, "n": n, "best_of": 8, "logprobs": 0 });
        server.post("/v1/completions", &request).1["choices"].as_array().unwrap().clone()
    };
    let mean = |choice: &Value| {
        let log_probs = choice["logprobs"]["token_logprobs"].as_array().unwrap().clone();
        log_probs.iter().map(|one| one.as_f64().unwrap()).sum::<f64>() / log_probs.len() as f64
    };
    let means: Vec<f64> = ask(8).iter().map(mean).collect();
    assert!(means.is_empty() || means.len() == 8);
    let best = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    assert!((mean(&ask(1)[0]) - best).abs() < 1e-9);
}

#[test]
fn scores_suggestions_and_lists_agree_with_the_library() {
    let server = Running::new(ServeOptions::default());
    let lines = ["the cat sat", "the dog", ""];
    let (status, answer) = server.post("/v1/score", &json!({ "lines": lines, "per_token": true }));
    assert_eq!(status, 200, "{answer}");
    for (found, expected) in answer["data"].as_array().unwrap().iter().zip(model().score(&lines).unwrap()) {
        assert!((found["log_prob"].as_f64().unwrap() - expected.score.log_prob_sum).abs() < 1e-4, "{found}");
        assert_eq!(found["tokens"], expected.line.ids.len());
        assert_eq!(found["unknown_words"], expected.line.out_of_vocab_tokens);
    }
    let (_, likely) = server.post("/v1/score", &json!({ "lines": lines, "top": 2 }));
    for (found, expected) in likely["data"].as_array().unwrap().iter().zip(answer["data"].as_array().unwrap())
    {
        assert!((found["log_prob"].as_f64().unwrap() - expected["log_prob"].as_f64().unwrap()).abs() < 1e-4);
        assert_eq!(found["per_token"][0]["top"].as_array().unwrap().len(), 2);
    }
    let (_, approximate) = server.post("/v1/score", &json!({ "lines": lines, "approximate": true }));
    assert!(approximate["error"]["message"].as_str().unwrap().contains("normalizer"), "{approximate}");

    for text in ["the", "the c", "the ca", "the cat ", "on the"] {
        let request = json!({ "text": text, "top": 3, "session": "a" });
        let (status, answer) = server.post("/v1/next", &request);
        let completing = rondo_infer::Completing { top: 3, partial: true, forbidden: vec![0, 1] };
        let expected = model().completer().complete(text, &completing).unwrap();
        let words: Vec<&str> = expected.iter().map(|word| word.word.as_str()).collect();
        let found: Vec<&str> =
            answer["data"].as_array().unwrap().iter().map(|word| word["word"].as_str().unwrap()).collect();
        assert_eq!((status, found), (200, words), "{text}");
    }
    // The preferences are those of the request, whether or not its session had others before.
    let completing = rondo_infer::Completing { top: 4, partial: true, forbidden: vec![0, 1] };
    let mut user_words = rondo_infer::UserWords::new(0.5);
    user_words.add("cathedral", 2.0).unwrap();
    let excluded = ["cat".to_owned()].into();
    let preferences =
        rondo_infer::Preferences { excluded, words_only: true, user_words, ..Default::default() };
    let completer = model().completer().with_preferences(preferences).unwrap();
    let expected = completer.complete("the ca", &completing).unwrap();
    let expected: Vec<&str> = expected.iter().map(|word| word.word.as_str()).collect();
    assert!(expected.contains(&"cathedral") && !expected.contains(&"cat"), "{expected:?}");
    for session in ["a", "b", "b"] {
        let request = json!({
            "text": "the ca", "top": 4, "session": session, "exclude": ["cat"], "words_only": true,
            "user_weight": 0.5, "user_words": { "cathedral": 2 },
        });
        let (_, answer) = server.post("/v1/next", &request);
        let found: Vec<&str> =
            answer["data"].as_array().unwrap().iter().map(|word| word["word"].as_str().unwrap()).collect();
        assert_eq!(found, expected);
    }

    let hypotheses = json!([
        { "id": "a", "text": "the cat", "score": -1 }, { "id": "a", "text": "mat mat mat mat", "score": -2 },
        { "id": "b", "text": "on" },
    ]);
    let (status, answer) =
        server.post("/v1/rescore", &json!({ "hypotheses": hypotheses, "word_bonus": 0.5 }));
    assert_eq!(status, 200, "{answer}");
    let lists = answer["data"].as_array().unwrap();
    assert_eq!((lists.len(), &lists[0]["hypotheses"][0]["text"]), (2, &json!("the cat")));
    let first = &lists[0]["hypotheses"][0];
    let combined = first["lm_log_prob"].as_f64().unwrap() - 1.0 + 2.0 * 0.5;
    assert!((first["combined"].as_f64().unwrap() - combined).abs() < 1e-9);
}

#[test]
fn wrong_requests_get_errors_in_the_format_of_the_api() {
    let limits =
        Limits { body_bytes: 20_000, prompt_tokens: 50, max_tokens: 100, streams: 8, ..Limits::default() };
    let server = Running::new(ServeOptions { limits, ..ServeOptions::default() });
    let check = |path: &str, request: Value, status: u16, param: Value, part: &str| {
        let (found, answer) = server.post(path, &request);
        let error = &answer["error"];
        assert_eq!((found, &error["param"]), (status, &param), "{request}: {answer}");
        assert!(error["message"].as_str().unwrap().contains(part), "{request}: {answer}");
    };
    for (request, param, part) in [
        (json!({ "suffix": "x" }), json!("suffix"), "not supported"),
        (json!({ "n": 0 }), json!("n"), "at least 1"),
        (json!({ "n": 9 }), json!("n"), "more than 8"),
        (json!({ "n": 3, "best_of": 2 }), json!("best_of"), "less than"),
        (json!({ "best_of": 2, "stream": true }), json!("best_of"), "stream"),
        (json!({ "max_tokens": 101 }), json!("max_tokens"), "more than 100"),
        (json!({ "logprobs": 6 }), json!("logprobs"), "more than 5"),
        (json!({ "temperature": -1 }), json!("temperature"), "from 0 to 100"),
        (json!({ "top_p": 0 }), json!("top_p"), "above 0 to 1"),
        (json!({ "top_k": 0 }), json!("top_k"), "at least 1"),
        (json!({ "stop": ["a", "b", "c", "d", "e"] }), json!("stop"), "at most 4"),
        (json!({ "stop": "" }), json!("stop"), "not empty"),
        (json!({ "logit_bias": { "x": 1 } }), json!("logit_bias"), "`x`"),
        (json!({ "logit_bias": { "7": 1 } }), json!("logit_bias"), "below 7"),
        (json!({ "logit_bias": { "1": 101 } }), json!("logit_bias"), "101"),
        (json!({ "prompt": [] }), json!("prompt"), "empty"),
        (json!({ "prompt": [[]] }), json!("prompt"), "empty"),
        (json!({ "prompt": [7] }), json!("prompt"), "7"),
        (json!({ "prompt": "the ".repeat(51) }), json!("prompt"), "more than 50"),
        (json!({ "prompt": 3 }), json!("prompt"), "`prompt` must be a text"),
        (json!({ "stop": [1] }), json!("stop"), "`stop` must be a string"),
        (json!({ "max_tokens": -1 }), json!("max_tokens"), "`-1`, expected a non-negative integer at line 1"),
        (json!({ "max_tokens": 1e300 }), json!("max_tokens"), "1e+300"),
        (json!({ "temperature": "0" }), json!("temperature"), "expected a number at line 1"),
        (
            json!({ "stream_options": { "include_usage": 1 } }),
            json!("stream_options.include_usage"),
            "a boolean",
        ),
        (json!({ "temprature": 1 }), Value::Null, "temprature"),
        (json!([1]), Value::Null, "not valid"),
    ] {
        check("/v1/completions", request, 400, param, part);
    }
    check("/v1/completions", json!({ "model": "none" }), 404, json!("model"), "only `small`, `other`");
    check("/v1/next", json!({ "top": 0 }), 400, json!("top"), "from 1");
    check("/v1/next", json!({ "user_weight": 1 }), 400, Value::Null, "weight");
    check("/v1/next", json!({ "user_words": { "cat": -1 } }), 400, Value::Null, "weight");
    check("/v1/next", json!({ "session": "x".repeat(200) }), 400, json!("session"), "128");
    check("/v1/next", json!({ "text": "the ".repeat(60) }), 400, json!("text"), "more than 50");
    check("/v1/score", json!({ "lines": vec!["the"; 26] }), 400, json!("lines"), "more than 50");
    check("/v1/score", json!({}), 400, Value::Null, "lines");
    check(
        "/v1/rescore",
        json!({ "hypotheses": vec![json!({ "text": "the" }); 26] }),
        400,
        json!("hypotheses"),
        "50",
    );
    check(
        "/v1/rescore",
        json!({ "hypotheses": [{ "text": "the" }, { "text": 3 }] }),
        400,
        json!("hypotheses[1].text"),
        "`hypotheses[1].text`: invalid type",
    );
    check("/v1/nothing", json!({}), 404, Value::Null, "no such route");
    check("/v1/models", json!({}), 405, Value::Null, "method");
    check("/v1/completions", json!({ "prompt": "x".repeat(30_000) }), 413, Value::Null, "20000 bytes");
    // A page of another site cannot give its name the address of this machine.
    for (host, expected) in [
        ("example.org", 403),
        ("localhost.example.org:80", 403),
        ("127.0.0.1:80", 200),
        ("[::1]:80", 200),
        ("LOCALHOST", 200),
    ] {
        let (status, _) =
            server.raw(format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes());
        assert_eq!(status, expected, "{host}");
    }
    // A page of another site cannot send JSON without being asked.
    let (status, _) = server.raw(b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}");
    assert_eq!(status, 415);
}

#[test]
fn hostile_requests_neither_hang_nor_stop_the_server() {
    let limits = Limits { client_timeout: Duration::from_secs(1), ..Limits::default() };
    let server = Running::new(ServeOptions { limits, ..ServeOptions::default() });
    let json = |text: &[u8]| {
        let head = format!(
            "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            text.len()
        );
        [head.as_bytes(), text].concat()
    };
    let many_headers: String = (0..200).map(|n| format!("h{n}: x\r\n")).collect();
    for (name, request, expected) in [
        ("nesting", json("[".repeat(100_000).as_bytes()), 400),
        ("nested prompt", json(format!("{{\"prompt\":{}", "[".repeat(100_000)).as_bytes()), 400),
        ("UTF-8", json(b"{\"prompt\":\"\xff\"}"), 400),
        ("cut", json(b"{\"prompt\":"), 400),
        ("NUL", json(b"\0"), 400),
        ("large number", json(b"{\"n\":99999999999999999999999}"), 400),
        ("double key", json(b"{\"n\":1,\"n\":1}"), 400),
        ("headers", format!("GET / HTTP/1.1\r\nhost: localhost\r\n{many_headers}\r\n").into_bytes(), 431),
        ("long line", format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(200_000)).into_bytes(), 0),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 400),
        (
            "wrong length",
            b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: -5\r\n\r\n".to_vec(),
            400,
        ),
        (
            "path",
            b"GET /v1/runs/..%2f..%2fetc%2fpasswd HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
                .to_vec(),
            404,
        ),
    ] {
        let (status, answer) = server.raw(&request);
        let is_refused =
            if expected == 0 { status == 0 || (400..500).contains(&status) } else { status == expected };
        assert!(is_refused, "{name}: {status} {answer}");
    }
    // Slow clients: of the head, and of the body.
    for part in [
        "GET / HTTP/1.1\r\nho",
        "POST /v1/score HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{",
    ] {
        let (begun, mut stream) = (Instant::now(), server.connect());
        stream.write_all(part.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(begun.elapsed() < Duration::from_secs(30), "{part}");
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    assert_eq!(server.get("/healthz").0, 200);
}

/// Requests with some bytes changed get a result or an error of the client. The fuzz target `requests` does more of this.
#[test]
fn damaged_requests_are_errors_of_the_client() {
    let limits = Limits { max_tokens: 50, ..Limits::default() };
    let server = Running::new(ServeOptions { limits, ..ServeOptions::default() });
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for (path, request) in [
        (
            "/v1/completions",
            json!({ "prompt": ["the cat", "on"], "max_tokens": 9, "logprobs": 2, "echo": true, "n": 2 }),
        ),
        (
            "/v1/completions",
            json!({ "prompt": [[2, 3], [4]], "stream": true, "logit_bias": { "2": 1.5 }, "top_p": 0.9 }),
        ),
        ("/v1/score", json!({ "lines": ["the cat", ""], "top": 2, "per_token": true })),
        ("/v1/next", json!({ "text": "the c", "session": "a", "top": 2, "partial": false })),
        (
            "/v1/rescore",
            json!({ "hypotheses": [{ "id": "a", "text": "the cat", "score": -1.5 }], "weight": 0.5 }),
        ),
    ] {
        let request = request.to_string().into_bytes();
        for _ in 0..100 {
            let mut damaged = request.clone();
            for _ in 0..1 + rng.next_u32() % 3 {
                let place = rng.next_u32() as usize % damaged.len();
                match rng.next_u32() % 3 {
                    0 => damaged[place] = (rng.next_u32() % 256) as u8,
                    1 => drop(damaged.remove(place)),
                    _ => damaged.insert(place, b"0123456789{}[],:\"e-"[rng.next_u32() as usize % 19]),
                }
            }
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                damaged.len()
            );
            let (status, answer) = server.raw(&[head.as_bytes(), &damaged].concat());
            assert!(
                status == 200 || (400..500).contains(&status),
                "{}: {answer}",
                String::from_utf8_lossy(&damaged)
            );
        }
    }
}

#[test]
fn too_many_requests_get_429_and_later_ones_an_answer() {
    let limits = Limits { streams: 1, queue: 1, max_tokens: usize::MAX, ..Limits::default() };
    let server =
        Running::new(ServeOptions { limits, grace: Duration::from_millis(100), ..ServeOptions::default() });
    let endless = json!({ "prompt": "the", "max_tokens": 1_000_000_000, "stream": true }).to_string();
    let head = format!(
        "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{endless}",
        endless.len()
    );
    let begin = || {
        let mut stream = server.connect();
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    let until = |line: &str| {
        let begun = Instant::now();
        while !server.get("/metrics").1.lines().any(|found| found == line) {
            assert!(begun.elapsed() < Duration::from_secs(30), "{line}");
        }
    };
    let running = begin();
    until("rondo_streams{model=\"small\"} 1");
    let waiting = begin();
    until("rondo_queue_length{model=\"small\"} 1");
    let short = json!({ "prompt": "the", "max_tokens": 1 });
    let (status, refused) = server.post("/v1/completions", &short);
    assert_eq!((status, refused["error"]["type"].as_str()), (429, Some("rate_limit_error")));
    // The other model has its own queue.
    assert_eq!(
        server.post("/v1/completions", &json!({ "model": "other", "prompt": "the", "max_tokens": 1 })).0,
        200
    );
    drop((running, waiting));
    until("rondo_streams{model=\"small\"} 0");
    assert_eq!(server.post("/v1/completions", &short).0, 200);
    // The one that waited may have begun before its end was noticed.
    let abandoned = server
        .get("/metrics")
        .1
        .lines()
        .find_map(|line| line.strip_prefix("rondo_abandoned_total ")?.parse().ok());
    assert!(matches!(abandoned, Some(1 | 2)), "{abandoned:?}");
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    let limits =
        Limits { client_timeout: Duration::from_millis(300), max_tokens: usize::MAX, ..Limits::default() };
    let server = Running::new(ServeOptions { limits, ..ServeOptions::default() });
    let request = json!({ "prompt": "the", "max_tokens": 1_000_000_000, "stream": true }).to_string();
    let head = "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ";
    let mut stream = server.connect();
    write!(stream, "{head}{}\r\n\r\n{request}", request.len()).unwrap();
    let begun = Instant::now();
    // It is not read, so the buffers of the connection fill up.
    while !server.get("/metrics").1.lines().any(|line| line == "rondo_abandoned_total 1") {
        assert!(begun.elapsed() < Duration::from_secs(60));
        thread::sleep(Duration::from_millis(20));
    }
    drop(stream);
}

#[test]
fn keys_are_required_where_there_are_any() {
    let keys = ApiKeys::from_lines("sk-right\n");
    let server = Running::new(ServeOptions { keys, ..ServeOptions::default() });
    let request = json!({ "prompt": "the", "max_tokens": 1 }).to_string();
    let with = |headers: &str| server.post_text("/v1/completions", &request, headers).0;
    assert_eq!(with("authorization: Bearer sk-right\r\n"), 200);
    for headers in [
        "",
        "authorization: sk-right\r\n",
        "authorization: Bearer sk-wrong\r\n",
        "authorization: Bearer \r\n",
    ] {
        assert_eq!(with(headers), 401, "{headers}");
    }
    assert_eq!((server.get("/v1/models").0, server.get("/healthz").0, server.get("/").0), (401, 200, 200));

    let public = ServeOptions { host: [0, 0, 0, 0].into(), port: 0, ..ServeOptions::default() };
    let error = Server::bind(vec![("m".to_owned(), model())], public).unwrap_err();
    assert!(matches!(error, ServeError::NoKeys(_)), "{error}");
    let twice = vec![("m".to_owned(), model()), ("m".to_owned(), model())];
    let error = Server::bind(twice, ServeOptions { port: 0, ..ServeOptions::default() }).unwrap_err();
    assert!(matches!(error, ServeError::DuplicateName(_)), "{error}");
}

#[test]
fn a_server_that_stops_answers_what_runs() {
    let server = Running::new(ServeOptions {
        limits: Limits { max_tokens: 1 << 20, ..Limits::default() },
        ..ServeOptions::default()
    });
    let request = json!({ "prompt": "the", "max_tokens": 3_000, "seed": 1 });
    let address = server.address;
    let (status, answer) = thread::scope(|scope| {
        let running = scope.spawn(|| server.post("/v1/completions", &request));
        let begun = Instant::now();
        while !server.get("/metrics").1.contains("rondo_streams{model=\"small\"} 1") {
            assert!(begun.elapsed() < Duration::from_secs(30) && !running.is_finished());
        }
        server.stopper.stop();
        running.join().unwrap()
    });
    assert_eq!((status, answer["usage"]["completion_tokens"].as_u64()), (200, Some(3_000)));
    drop(server);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn the_page_and_the_metrics_are_there() {
    let server = Running::new(ServeOptions::default());
    let (status, answer) = server.raw(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert!(status == 200 && answer.contains("content-security-policy: default-src 'none'"), "{answer}");
    assert!(
        server.get("/page.js").1.contains("\"use strict\"") && server.get("/page.css").1.contains(":root")
    );
    server.post("/v1/completions", &json!({ "prompt": "the", "max_tokens": 4 }));
    let metrics = server.get("/metrics").1;
    for line in [
        "rondo_generated_tokens_total 4",
        "rondo_prompt_tokens_total 2",
        "rondo_requests_total{route=\"/v1/completions\",status=\"200\"} 1",
        "rondo_batch_size_count 4",
        "rondo_first_token_seconds_count 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
    let models: Value = serde_json::from_str(&server.get("/v1/models").1).unwrap();
    assert_eq!((&models["data"][0]["id"], &models["data"][1]["vocab_size"]), (&json!("small"), &json!(7)));
}

#[test]
fn the_runs_of_a_folder_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("one");
    std::fs::create_dir(&run).unwrap();
    std::fs::write(run.join("plan.toml"), "").unwrap();
    std::fs::write(run.join("summary.json"), "{\"rondo\":\"0.1.0\",\"status\":\"running\",\"seed\":1}")
        .unwrap();
    let record = |step: u32, loss: f64| {
        format!("{{\"kind\":\"interval\",\"epoch\":1,\"step\":{step},\"interval_loss\":{loss}}}\n")
    };
    // The last line is being written.
    std::fs::write(run.join("metrics.jsonl"), record(1, 5.0) + &record(2, 4.5) + "{\"kind\":\"inter")
        .unwrap();
    let server =
        Running::new(ServeOptions { runs: Some(folder.path().to_owned()), ..ServeOptions::default() });
    let runs: Value = serde_json::from_str(&server.get("/v1/runs").1).unwrap();
    assert_eq!(runs["data"][0]["name"], "one", "{runs}");
    let shown: Value = serde_json::from_str(&server.get("/v1/runs/one").1).unwrap();
    let losses: Vec<&Value> =
        shown["records"].as_array().unwrap().iter().map(|record| &record["interval_loss"]).collect();
    assert_eq!(losses, [5.0, 4.5], "{shown}");
    for name in ["two", "..", "%2e%2e"] {
        assert_eq!(server.get(&format!("/v1/runs/{name}")).0, 404, "{name}");
    }
}
