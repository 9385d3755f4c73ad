//! A server: bound to an address, and run until it is stopped.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use rondo_infer::LanguageModel;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::api::{Shared, router};
use crate::connection;
use crate::error::ServeError;
use crate::metrics::Metrics;
use crate::model::Models;
use crate::options::ServeOptions;

/// The threads that read requests and write answers. Models have threads of their own.
const NETWORK_THREADS: usize = 2;

/// A server that listens already, so that its address is known and clients can connect.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    runtime: Runtime,
    shared: Shared,
    stop: watch::Sender<bool>,
}

/// Stops a server from another thread.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// Asks the server to stop: it accepts no more requests, and answers those that run.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// The routes of a server as a service, to be part of another one.
///
/// # Errors
/// As [`Server::bind`], except those of the address.
pub fn routes(
    models: Vec<(String, LanguageModel)>,
    options: ServeOptions,
) -> Result<axum::Router, ServeError> {
    Ok(router(shared(models, options)?))
}

fn shared(models: Vec<(String, LanguageModel)>, options: ServeOptions) -> Result<Shared, ServeError> {
    let metrics = Arc::new(Metrics::new());
    let models = Models::start(models, &options.limits, &metrics)?;
    Ok(Shared::new(models, options, metrics))
}

impl Server {
    /// Loads nothing and answers nothing yet, but listens. Models are served under their names; the first is the default.
    ///
    /// # Errors
    /// [`ServeError`], for example if the port is in use.
    pub fn bind(models: Vec<(String, LanguageModel)>, options: ServeOptions) -> Result<Server, ServeError> {
        let address = SocketAddr::new(options.host, options.port);
        if options.keys.is_empty() && !options.host.is_loopback() {
            return Err(ServeError::NoKeys(address));
        }
        let listen = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let runtime = Builder::new_multi_thread().worker_threads(NETWORK_THREADS).enable_all().build();
        let runtime = runtime.map_err(ServeError::Start)?;
        let shared = shared(models, options)?;
        Ok(Server { listener, address, runtime, shared, stop: watch::Sender::new(false) })
    }

    /// The address that it listens on, with its port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.clone())
    }

    /// Answers requests until it is asked to stop, and then those that run, for at most the grace period.
    ///
    /// # Errors
    /// [`ServeError::Start`] if the system gives no resources.
    pub fn run(self) -> Result<(), ServeError> {
        let Server { listener, runtime, shared, stop, .. } = self;
        let (limits, grace) = (shared.options.limits.clone(), shared.options.grace);
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(ServeError::Start)?;
            connection::serve(listener, router(shared), limits.client_timeout, stop.subscribe(), grace).await;
            Ok(())
        })?;
        // Computations whose clients are gone do not keep the process.
        runtime.shutdown_background();
        Ok(())
    }
}
