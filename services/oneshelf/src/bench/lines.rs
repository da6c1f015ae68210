//! Holds of several lines, beside holds of one: what each hold costs, and what each line.

use rand::seq::index;

use super::{BenchArgs, holds, report::Figure, seed, stage::Stage};

const LINES: usize = 5;

pub async fn measure(args: &BenchArgs, stage: &Stage, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    for load in args.loads() {
        let (mut single, mut several) = (Vec::new(), Vec::new());
        for _ in 0..args.rounds {
            single.push(holds::hold(stage, load, false).await?.per_second());
            let skus = || index::sample(&mut rand::rng(), seed::SKUS, LINES).into_iter().map(seed::sku).collect();
            let mut round = holds::hold_each(stage, &stage.apis, load, skus).await?;
            // What is counted is lines; the latency stays that of a hold.
            round.answered *= LINES as u64;
            several.push(round);
        }
        let name = format!("holds of {LINES} lines, 10,000 SKUs");
        let limits = vec![("lines, one a hold".to_owned(), single)];
        let figure = Figure::of(name, "lines", load, &several, limits)?;
        figure.print();
        figures.push(figure);
    }
    Ok(())
}
