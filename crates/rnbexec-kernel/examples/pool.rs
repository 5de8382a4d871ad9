//! Launches a kernel ten times from a pool that forks, then ten times anew, and tells how long each took until it answered.
//!
//! `cargo run --release -p rnbexec-kernel --example pool -- KERNEL [MODULE…]`

use std::collections::HashMap;
use std::time::Instant;

use rnbexec_kernel::{KernelPool, LaunchOptions, PoolOptions, SearchContext, ShutdownPolicy};

#[expect(clippy::print_stdout, reason = "it is what the example is for")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "python3".to_owned());
    let imports: Vec<String> = arguments.collect();
    let vars: HashMap<_, _> = std::env::vars_os().collect();
    let context = SearchContext { vars: vars.clone(), home: std::env::home_dir(), prefixes: Vec::new() };
    let spec = rnbexec_kernel::find(&context, &name)?;
    for fork in [true, false] {
        let pool = KernelPool::new(PoolOptions { fork, spares: 0 });
        for _ in 0..10 {
            let begun = Instant::now();
            let kernel = pool.launch(&spec, LaunchOptions::new(vars.clone()), &imports).await?;
            println!("{:?}: {:.1} ms", kernel.origin(), begun.elapsed().as_secs_f64() * 1000.0);
            kernel.shutdown(ShutdownPolicy::default()).await;
        }
        pool.close().await;
    }
    Ok(())
}
