//! Two processes of inventory on one database, beside one alone: whether they stand in each other's way. Half of the streams
//! go to each.

use super::{BenchArgs, holds, report::Figure, stage::Stage};

/// Answers the most memory that the second process took, in MiB.
pub async fn measure(args: &BenchArgs, stage: &Stage, figures: &mut Vec<Figure>) -> anyhow::Result<f64> {
    let twin = stage.twin(usize::from(args.connections)).await?;
    let both: Vec<_> = stage.apis.iter().zip(&twin.apis).flat_map(|(first, second)| [first, second]).cloned().collect();
    for load in args.loads() {
        for hot in [false, true] {
            let (mut alone, mut together) = (Vec::new(), Vec::new());
            for _ in 0..args.rounds {
                alone.push(holds::hold(stage, load, hot).await?.per_second());
                together.push(holds::hold_each(stage, &both, load, holds::one_sku(hot)).await?);
            }
            let over = if hot { "one hot SKU" } else { "10,000 SKUs" };
            let limits = vec![("one process".to_owned(), alone)];
            let figure = Figure::of(format!("holds by two processes, {over}"), "holds", load, &together, limits)?;
            figure.print();
            figures.push(figure);
        }
    }
    for load in args.loads() {
        for hot in [false, true] {
            holds::hold_each(stage, &twin.apis, load, holds::one_sku(hot)).await?;
        }
    }
    let memory = twin.memory_peak().await;
    println!("memory of a process of inventory alone: at most {memory:.0} MiB");
    twin.strike().await?;
    Ok(memory)
}
