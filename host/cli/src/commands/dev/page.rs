//! The page about a failed build.

use console::strip_ansi_codes;

use super::project::Unbuilt;

/// Returns the page about a failed build. It loads itself again until a build succeeds.
pub fn about(unbuilt: &Unbuilt) -> String {
    let what = escaped(&unbuilt.what);
    let output = escaped(&strip_ansi_codes(&unbuilt.output));
    format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="1">
<meta name="color-scheme" content="light dark">
<title>{what}</title>
<style>body {{ font-family: sans-serif; margin: 2rem }} pre {{ overflow-x: auto }}</style>
<h1>{what}</h1>
<pre>{output}</pre>
<p>This page goes away when a build succeeds.</p>
</html>
"#
    )
}

/// Returns a text for HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_text() {
        let page = about(&Unbuilt {
            what: "The build failed".into(),
            output: "\x1b[1;31merror\x1b[0m: <T> & so on\n".into(),
        });
        assert!(
            page.contains("<pre>error: &lt;T&gt; &amp; so on\n</pre>"),
            "{page}"
        );
    }
}
