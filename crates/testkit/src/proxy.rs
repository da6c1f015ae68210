use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A TCP proxy that can cut what goes through it: `cut` resets every connection and refuses new ones until `heal`.
pub struct Proxy {
    address: SocketAddr,
    open: Arc<watch::Sender<bool>>,
}

impl Proxy {
    /// Forwards to `target` (`host:port`) from a free local port.
    pub async fn new(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (open, _) = watch::channel(true);
        let open = Arc::new(open);
        let gate = Arc::downgrade(&open);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Some(gate) = gate.upgrade() else { return };
                if *gate.borrow() {
                    tokio::spawn(forward(client, target.clone(), gate.subscribe()));
                }
            }
        });
        Self { address, open }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    pub fn heal(&self) {
        self.open.send_replace(true);
    }
}

async fn forward(mut client: TcpStream, target: String, mut open: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = open.wait_for(|open| !open) => {
            // A reset, not a polite end.
            let _ = client.set_zero_linger();
            let _ = server.set_zero_linger();
        }
    }
}
