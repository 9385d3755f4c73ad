//! Requests to the server: for any of them, the answer is a result or an error of the client.

#![no_main]

use std::cell::RefCell;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use libfuzzer_sys::fuzz_target;
use rondo_data::{TextCodec, Tokenizer, Vocab};
use rondo_infer::LanguageModel;
use rondo_kernels::Device;
use rondo_nn::{PRESETS, RnnLm};
use rondo_serve::{Limits, ServeOptions, routes};
use tokio::runtime::{Builder, Runtime};
use tower_service::Service;

thread_local! {
    static SERVER: RefCell<(Runtime, Router)> = RefCell::new(server());
}

fn server() -> (Runtime, Router) {
    let words = ["<unk>", "<eos>", "the", "cat", "sat"];
    let vocab = Vocab::from_tokens("fuzz", words, Some("<unk>")).expect("the words differ");
    let mut config = PRESETS[0].config(words.len());
    config.hidden_sizes = vec![4];
    config.input = rondo_nn::Input::Embedding(4);
    let model = RnnLm::new(config, &Device::cpu(1).expect("a thread")).expect("the sizes are valid");
    let model =
        LanguageModel::new(model, TextCodec::new(Tokenizer::words(), vocab)).expect("the sizes agree");
    let limits = Limits { prompt_tokens: 1_000, max_tokens: 50, ..Limits::default() };
    let options = ServeOptions { limits, ..ServeOptions::default() };
    let router = routes(vec![("fuzz".to_owned(), model)], options).expect("there is a model");
    (Builder::new_current_thread().enable_time().build().expect("a runtime"), router)
}

fuzz_target!(|input: &[u8]| {
    let line = input.iter().position(|&byte| byte == b'\n').unwrap_or(input.len());
    let (route, body) = (String::from_utf8_lossy(&input[..line]), input.get(line + 1..).unwrap_or_default());
    let request =
        Request::post(&*route).header("content-type", "application/json").body(Body::from(body.to_vec()));
    let Ok(request) = request else { return };
    SERVER.with_borrow_mut(|(runtime, router)| {
        let (status, body) = runtime.block_on(async {
            let answer = router.call(request).await.expect("a router does not fail");
            let status = answer.status();
            (status, to_bytes(answer.into_body(), 1 << 26).await.expect("the answer is whole"))
        });
        assert!(!status.is_server_error(), "{status}");
        if status.is_client_error() {
            let error: serde_json::Value = serde_json::from_slice(&body).expect("errors are JSON");
            assert!(error["error"]["message"].is_string());
        }
    });
});
