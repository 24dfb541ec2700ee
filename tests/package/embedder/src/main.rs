use std::sync::Arc;

use session3::{SessionManager, store::MemoryStore};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Arc::new(MemoryStore::default());
    let manager = SessionManager::builder(store).build().await?;
    let request = http::Request::get("/").body(())?;
    let mut session = manager.get_session(&request).await?;
    session.add("visits", 1).await?;
    println!("{}", session.commit().await?["set-cookie"].to_str()?);
    Ok(())
}
