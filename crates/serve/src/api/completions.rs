//! `POST /v1/completions`: OpenAI's completions API.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use rondo_infer::{LanguageModel, Sampling, StopRule};
use serde::Deserialize;

use super::Shared;
use super::answer::{Choice, Head, LogProbs, Usage, arbitrary};
use super::body::JsonBody;
use super::prompt::{Prompt, Prompts};
use crate::engine::{Chunks, Generation};
use crate::error::ApiError;
use crate::model::ServedModel;
use crate::options::Limits;

/// The fields of a request, in alphabetical order.
#[cfg(test)]
pub(super) const FIELDS: &[&str] = &[
    "best_of",
    "echo",
    "forbid_unk",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "min_p",
    "model",
    "n",
    "presence_penalty",
    "prompt",
    "repetition_penalty",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "suffix",
    "temperature",
    "top_k",
    "top_p",
    "user",
];

/// The length of a text if the request does not say it, as in OpenAI's API.
const MAX_TOKENS: usize = 16;
/// The most alternatives at a position.
const MOST_LOG_PROBS: usize = 5;
/// The most stop strings.
const MOST_STOPS: usize = 4;

/// A request. `top_k`, `min_p`, `repetition_penalty` and `forbid_unk` are not OpenAI's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    model: Option<String>,
    prompt: Option<Prompts>,
    max_tokens: Option<usize>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
    min_p: Option<f32>,
    n: Option<usize>,
    best_of: Option<usize>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    logprobs: Option<usize>,
    echo: Option<bool>,
    stop: Option<Stop>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    repetition_penalty: Option<f32>,
    logit_bias: Option<BTreeMap<String, f32>>,
    forbid_unk: Option<bool>,
    seed: Option<i64>,
    suffix: Option<String>,
    #[expect(dead_code, reason = "accepted, not used")]
    user: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "`stop` must be a string or a list of strings")]
enum Stop {
    One(String),
    Many(Vec<String>),
}

/// A request that has been checked.
#[derive(Debug)]
struct Job {
    prompts: Vec<Prompt>,
    /// The texts to generate for each prompt, and how many of them are returned.
    best_of: usize,
    n: usize,
    max_tokens: usize,
    /// The alternatives at each position, if log-probabilities are wanted.
    log_probs: Option<usize>,
    echo: bool,
    sampling: Sampling,
    stop: Vec<String>,
    seed: u64,
}

/// Answers a request.
pub(super) async fn complete(
    State(shared): State<Shared>,
    JsonBody(request): JsonBody<Request>,
) -> Result<Response, ApiError> {
    let served = shared.models.find(request.model.as_deref())?;
    let streams = request.stream == Some(true);
    let include_usage = request.stream_options.and_then(|options| options.include_usage) == Some(true);
    let job = Job::new(request, &served.model, &shared.options.limits)?;
    if streams && job.best_of > job.n {
        return Err(ApiError::field("best_of", "`best_of` above `n` is not possible with `stream`"));
    }
    let job = Arc::new(job);
    let begun = begun(&shared, &served, &job).await?;
    if shared.options.log_prompts {
        job.prompts
            .iter()
            .for_each(|prompt| tracing::info!(model = served.name, prompt = ?prompt.text, "prompt"));
    }
    // All prompts are submitted before the first is answered.
    let submit = |prompt| job.submit(prompt, &served);
    let chunks = job.prompts.iter().map(submit).collect::<Result<Vec<_>, _>>()?;
    let answering = Answering { head: Head::new(&served.name), served, job, begun, chunks };
    if streams {
        return Ok(Sse::new(answering.events(include_usage)).into_response());
    }
    Ok(Json(answering.whole().await?).into_response())
}

impl Job {
    fn new(request: Request, model: &LanguageModel, limits: &Limits) -> Result<Job, ApiError> {
        if request.suffix.is_some_and(|suffix| !suffix.is_empty()) {
            return Err(ApiError::field(
                "suffix",
                "`suffix` is not supported: a recurrent model only reads forward",
            ));
        }
        let n = at_least_1("n", request.n.unwrap_or(1))?;
        let best_of = at_least_1("best_of", request.best_of.unwrap_or(n))?;
        if best_of < n {
            return Err(ApiError::field("best_of", format!("`best_of` is {best_of}, less than `n`, {n}")));
        }
        let prompts = request.prompt.unwrap_or(Prompts::Text(String::new()));
        let prompts = prompts.read(model, limits.prompt_tokens)?;
        let texts = best_of.saturating_mul(prompts.len());
        if texts > limits.streams {
            let message = format!("{texts} texts were requested, more than {}", limits.streams);
            return Err(ApiError::field("n", message));
        }
        let max_tokens = request.max_tokens.unwrap_or(MAX_TOKENS);
        if max_tokens > limits.max_tokens {
            let message = format!("`max_tokens` is {max_tokens}, more than {}", limits.max_tokens);
            return Err(ApiError::field("max_tokens", message));
        }
        if request.logprobs.is_some_and(|count| count > MOST_LOG_PROBS) {
            return Err(ApiError::field("logprobs", format!("`logprobs` is more than {MOST_LOG_PROBS}")));
        }
        let stop = match request.stop {
            None => vec![],
            Some(Stop::One(stop)) => vec![stop],
            Some(Stop::Many(stops)) => stops,
        };
        if stop.len() > MOST_STOPS || stop.iter().any(String::is_empty) {
            let message = format!("`stop` must be at most {MOST_STOPS} strings that are not empty");
            return Err(ApiError::field("stop", message));
        }
        let unknown = model.codec().unknown_id().filter(|_| request.forbid_unk == Some(true));
        let sampling = Sampling {
            temperature: within("temperature", request.temperature, 0.0..=100.0)?.unwrap_or(1.0),
            top_k: request.top_k.map(|top_k| at_least_1("top_k", top_k)).transpose()?,
            top_p: within("top_p", request.top_p, f32::MIN_POSITIVE..=1.0)?,
            min_p: within("min_p", request.min_p, 0.0..=1.0)?,
            repetition_penalty: within("repetition_penalty", request.repetition_penalty, 0.01..=100.0)?
                .unwrap_or(1.0),
            presence_penalty: within("presence_penalty", request.presence_penalty, -2.0..=2.0)?
                .unwrap_or(0.0),
            frequency_penalty: within("frequency_penalty", request.frequency_penalty, -2.0..=2.0)?
                .unwrap_or(0.0),
            logit_bias: logit_bias(request.logit_bias.unwrap_or_default(), model.codec().vocab().len())?,
            forbidden: unknown.into_iter().collect(),
        };
        Ok(Job {
            prompts,
            best_of,
            n,
            max_tokens,
            log_probs: request.logprobs,
            echo: request.echo == Some(true),
            sampling,
            stop,
            seed: request.seed.map_or_else(arbitrary, i64::cast_unsigned),
        })
    }

    /// Queues the texts of a prompt, if there is something to generate.
    fn submit(&self, prompt: &Prompt, served: &ServedModel) -> Result<Option<Chunks>, ApiError> {
        if self.max_tokens == 0 {
            return Ok(None);
        }
        let generation = Generation {
            prompt: prompt.text.clone(),
            ids: prompt.ids.clone(),
            texts: self.best_of,
            sampling: self.sampling.clone(),
            seed: self.seed,
            stop: StopRule {
                strings: self.stop.clone(),
                max_tokens: Some(self.max_tokens),
                ..StopRule::default()
            },
            alternatives: self.log_probs.unwrap_or(0),
        };
        Ok(Some(served.engine.submit(generation)?))
    }
}

fn at_least_1(field: &'static str, value: usize) -> Result<usize, ApiError> {
    if value == 0 { Err(ApiError::field(field, format!("`{field}` must be at least 1"))) } else { Ok(value) }
}

fn within(
    field: &'static str,
    value: Option<f32>,
    range: std::ops::RangeInclusive<f32>,
) -> Result<Option<f32>, ApiError> {
    match value {
        Some(value) if !range.contains(&value) => {
            let (least, most) = (range.start(), range.end());
            let least =
                if *least == f32::MIN_POSITIVE { "above 0".to_owned() } else { format!("from {least}") };
            Err(ApiError::field(field, format!("`{field}` is {value}; it must be {least} to {most}")))
        }
        value => Ok(value),
    }
}

/// The biases by token id.
fn logit_bias(biases: BTreeMap<String, f32>, vocab_size: usize) -> Result<Vec<(u32, f32)>, ApiError> {
    let bias = |(id, bias): (String, f32)| {
        let known = id.parse().ok().filter(|&id| (id as usize) < vocab_size);
        let known: u32 = known.ok_or_else(|| {
            let message =
                format!("`logit_bias` has the key `{id}`, which is not a token id below {vocab_size}");
            ApiError::field("logit_bias", message)
        })?;
        if !(-100.0..=100.0).contains(&bias) {
            return Err(ApiError::field("logit_bias", format!("the bias {bias} is not from -100 to 100")));
        }
        Ok((known, bias))
    };
    biases.into_iter().map(bias).collect()
}

/// The beginnings of the texts of each prompt: with `echo` the prompt, and the log-probabilities of its tokens if they are
/// wanted.
async fn begun(shared: &Shared, served: &Arc<ServedModel>, job: &Arc<Job>) -> Result<Vec<Choice>, ApiError> {
    let choice = |text| Choice::new(0, text, job.log_probs.is_some());
    if !job.echo {
        return Ok(job.prompts.iter().map(|_| choice(String::new())).collect());
    }
    let mut choices: Vec<Choice> = job.prompts.iter().map(|prompt| choice(prompt.text.clone())).collect();
    if let Some(count) = job.log_probs {
        let (served, job) = (served.clone(), job.clone());
        let read = move || {
            let of_prompt = |prompt| prompt_log_probs(prompt, &served.model, count);
            job.prompts.iter().map(of_prompt).collect::<Result<Vec<_>, _>>()
        };
        for (choice, log_probs) in choices.iter_mut().zip(shared.compute(read).await?) {
            choice.log_probs = Some(log_probs);
        }
    }
    Ok(choices)
}

/// The log-probabilities of the tokens of a prompt, each after those before it.
fn prompt_log_probs(prompt: &Prompt, model: &LanguageModel, count: usize) -> Result<LogProbs, ApiError> {
    let codec = model.codec();
    let mut log_probs = LogProbs::default();
    let (mut decoder, mut text) = (codec.decoder(rondo_data::Spacing::Natural), Vec::new());
    let mut add = |place: usize, log_prob, likely: &[_]| -> Result<(), ApiError> {
        let offset = String::from_utf8_lossy(&text).chars().count();
        log_probs.push(codec, (prompt.ids[place], log_prob), likely, offset);
        Ok(decoder.push(prompt.ids[place], &mut text)?)
    };
    if prompt.before == 0 && !prompt.ids.is_empty() {
        add(0, None, &[])?;
    }
    let mut failure = Ok(());
    let known = prompt.ids.len().saturating_sub(1);
    model.predictor().read(&prompt.ids[..known], |place, next| {
        let likely = next.most_likely(count, |_| true);
        if failure.is_ok() {
            failure = add(place + 1, Some(next.log_prob(prompt.ids[place + 1])), &likely);
        }
    })?;
    failure.map(|()| log_probs)
}

/// The texts of a request while they are generated.
struct Answering {
    head: Head,
    served: Arc<ServedModel>,
    job: Arc<Job>,
    /// The beginning of the texts of each prompt.
    begun: Vec<Choice>,
    /// The tokens for each prompt, if there are any.
    chunks: Vec<Option<Chunks>>,
}

impl Answering {
    fn prompt_tokens(&self) -> usize {
        self.job.prompts.iter().map(|prompt| prompt.ids.len() - prompt.before.min(prompt.ids.len())).sum()
    }

    /// The whole answer.
    async fn whole(self) -> Result<serde_json::Value, ApiError> {
        let mut usage = Usage { prompt_tokens: self.prompt_tokens(), completion_tokens: 0 };
        let codec = self.served.model.codec();
        let mut chosen = vec![];
        for (begun, chunks) in self.begun.into_iter().zip(self.chunks) {
            let mut choices = vec![begun; self.job.best_of];
            match chunks {
                None => choices.iter_mut().for_each(Choice::end),
                Some(mut chunks) => {
                    while let Some(chunk) = chunks.recv().await {
                        let chunk = chunk?;
                        choices[chunk.text].push(codec, &chunk);
                    }
                }
            }
            usage.completion_tokens += choices.iter().map(|choice| choice.tokens).sum::<usize>();
            if self.job.best_of > self.job.n {
                let better =
                    |a: &Choice, b: &Choice| -> Ordering { b.mean_log_prob().total_cmp(&a.mean_log_prob()) };
                choices.sort_by(better);
                choices.truncate(self.job.n);
            }
            chosen.extend(choices);
        }
        for (index, choice) in chosen.iter_mut().enumerate() {
            choice.index = index;
        }
        if chosen.iter().any(|choice| !choice.is_over()) {
            // The engine has ended without an error of this request.
            return Err(ApiError::internal());
        }
        Ok(self.head.with(chosen.iter().map(Choice::to_json).collect(), Some(usage)))
    }

    /// The answer as events: an event for each token, and `[DONE]`.
    fn events(self, include_usage: bool) -> impl Stream<Item = Result<Event, Infallible>> {
        let mut usage = Usage { prompt_tokens: self.prompt_tokens(), completion_tokens: 0 };
        let Answering { head, served, job, begun, chunks } = self;
        let n = job.n;
        // What was sent of each text, without the texts themselves.
        let texts = begun.iter().flat_map(|begun| vec![begun; n]).enumerate();
        let mut texts: Vec<Choice> = texts.map(|(index, begun)| begun.at(index)).collect();
        let first: Vec<Event> = match (job.echo, job.max_tokens) {
            (false, 1..) => vec![],
            (_, max_tokens) => {
                if max_tokens == 0 {
                    texts.iter_mut().for_each(Choice::end);
                }
                texts.iter().map(|text| event(&head.with(vec![text.to_json()], None))).collect()
            }
        };
        let tokens = chunks.into_iter().enumerate().filter_map(|(prompt, chunks)| Some((prompt, chunks?)));
        let tokens = stream::select_all(tokens.map(|(prompt, chunks)| {
            Box::pin(stream::unfold(chunks, move |mut chunks| async move {
                let chunk = chunks.recv().await?;
                Some(((prompt, chunk), chunks))
            }))
        }));
        let last_head = head.clone();
        let (done, last_usage) = tokio::sync::oneshot::channel();
        let mut done = Some(done);
        let events = tokens.map(move |(prompt, chunk)| match chunk {
            Err(error) => event(&error.to_json()),
            Ok(chunk) => {
                usage.completion_tokens += 1;
                let text = &mut texts[prompt * n + chunk.text];
                let shown = text.next(served.model.codec(), &chunk);
                if texts.iter().all(Choice::is_over) {
                    done.take().map(|done| done.send(usage));
                }
                event(&head.with(vec![shown], None))
            }
        });
        let last = stream::once(async move {
            // After the last token, or an error: then there is no usage.
            let usage =
                last_usage.await.ok().or((job.max_tokens == 0).then_some(usage)).filter(|_| include_usage);
            let usage = usage.map(|usage| event(&last_head.with(vec![], Some(usage))));
            stream::iter(usage.into_iter().chain([Event::default().data("[DONE]")]))
        });
        stream::iter(first).chain(events).chain(last.flatten()).map(Ok)
    }
}

fn event(value: &serde_json::Value) -> Event {
    Event::default().data(value.to_string())
}
