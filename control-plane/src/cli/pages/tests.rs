//! People ask for rows; pages are the wire's business.

use super::Rows;
use crate::cli::output::Paint;
use crate::cli::values::PAGE_ROWS_MAX;

/// A server with this many rows, and the page sizes it was asked for.
async fn ask(stored: u32, limit: u32) -> (Rows<u32>, Vec<u32>) {
    let mut sizes = Vec::new();
    let rows = Rows::collect(limit, async |size, token| {
        sizes.push(size);
        let first: u32 = token.parse().unwrap_or(0);
        let end = stored.min(first + size);
        let next = if end < stored {
            end.to_string()
        } else {
            String::new()
        };
        Ok(((first..end).collect(), next))
    });
    (rows.await.unwrap(), sizes)
}

#[tokio::test]
async fn pages_are_followed_up_to_the_limit_and_no_further() {
    let (found, sizes) = ask(1_000, 450).await;
    assert_eq!(found.rows, (0..450).collect::<Vec<u32>>());
    assert_eq!(sizes, [PAGE_ROWS_MAX, PAGE_ROWS_MAX, 50]);
    assert!(found.more);
    assert!(found.more_line(Paint::new(false)).contains("--limit"));
}

#[tokio::test]
async fn the_last_page_ends_the_list() {
    let (found, _) = ask(230, 1_000).await;
    assert_eq!((found.rows.len(), found.more), (230, false));
    assert_eq!(found.more_line(Paint::new(false)), "");
    let (found, sizes) = ask(50, 50).await;
    assert_eq!((found.rows.len(), found.more, sizes.len()), (50, false, 1));
}

#[tokio::test]
async fn a_server_that_gives_empty_pages_or_too_many_rows_is_not_followed_for_ever() {
    let empty = Rows::<u32>::collect(50, async |_, _| Ok((Vec::new(), "again".into())))
        .await
        .unwrap();
    assert!(empty.rows.is_empty());
    let generous = Rows::collect(50, async |_, _| {
        Ok(((0..90).collect::<Vec<u32>>(), String::new()))
    })
    .await
    .unwrap();
    assert_eq!((generous.rows.len(), generous.more), (50, true));
}
