//! The little HTML that a report needs. All text goes through [`escape`].

use std::fmt::Write as _;

use sealift_verifier::error::printable;

const STYLE: &str = "\
:root{color-scheme:light}\
body{font:15px/1.5 system-ui,sans-serif;color:#1a1d21;max-width:72rem;margin:2rem auto;padding:0 1.5rem}\
h1{font-size:1.6rem;margin:0 0 1rem}\
h2{font-size:1.1rem;margin:2rem 0 .5rem;break-after:avoid}\
.banner{padding:.7rem 1rem;border-left:.4rem solid;margin:.5rem 0;font-weight:600;overflow-wrap:anywhere}\
.passed{border-color:#1b7f3b;background:#eaf6ee}\
.failed{border-color:#b3261e;background:#fcecea}\
table{border-collapse:collapse;width:100%;font-size:.87rem}\
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #d9dde2}\
thead th{border-bottom:2px solid #8a929c;white-space:nowrap}\
tr{break-inside:avoid}\
.facts th{font-weight:600;white-space:nowrap;width:12rem}\
.long{overflow-wrap:anywhere}\
.mono{font-family:ui-monospace,monospace;font-size:.8rem;overflow-wrap:anywhere}\
footer{margin-top:2.5rem;color:#59616b;font-size:.87rem}\
@media print{body{margin:0;max-width:none;padding:0;font-size:10pt}.banner{print-color-adjust:exact}}";

/// What every report begins with.
pub(super) const BEGIN: &str = "<!doctype html>\n<!-- A verification by Sealift -->\n";

/// A page that grows from its top to its end.
pub(super) struct Page(String);

impl Page {
    /// A page with this title.
    pub(super) fn new(title: &str) -> Self {
        let title = escape(title);
        Self(format!(
            "{BEGIN}<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        ))
    }

    /// A sentence that stands out; `class` is `passed` or `failed`.
    pub(super) fn banner(&mut self, class: &str, text: &str) {
        self.add(&format!(
            "<p class=\"banner {class}\">{}</p>\n",
            escape(text)
        ));
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.add(&format!("<h2>{}</h2>\n", escape(text)));
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        self.add(&format!("<p>{}</p>\n", escape(text)));
    }

    pub(super) fn list(&mut self, items: &[String]) {
        self.add("<ul>\n");
        for item in items {
            self.add(&format!("<li>{}</li>\n", escape(item)));
        }
        self.add("</ul>\n");
    }

    /// Names with their values.
    pub(super) fn facts(&mut self, facts: &[(&str, String)]) {
        self.add("<table class=\"facts\">\n");
        for (name, value) in facts {
            let row = format!("<tr><th>{}</th>{}</tr>\n", escape(name), cell(value));
            self.add(&row);
        }
        self.add("</table>\n");
    }

    /// A table; its heading is repeated on each printed page.
    pub(super) fn table<const N: usize>(&mut self, heading: [&str; N], rows: &[[String; N]]) {
        self.add("<table>\n<thead><tr>");
        for name in heading {
            self.add(&format!("<th>{}</th>", escape(name)));
        }
        self.add("</tr></thead>\n<tbody>\n");
        for row in rows {
            self.add("<tr>");
            for value in row {
                self.add(&cell(value));
            }
            self.add("</tr>\n");
        }
        self.add("</tbody>\n</table>\n");
    }

    /// The whole page, with `footer` at its end.
    pub(super) fn finish(mut self, footer: &str) -> String {
        self.add(&format!(
            "<footer>{}</footer>\n</body>\n</html>\n",
            escape(footer)
        ));
        self.0
    }

    fn add(&mut self, html: &str) {
        // Writing to a string never fails.
        let _ = self.0.write_str(html);
    }
}

fn cell(value: &str) -> String {
    let digest = value.len() == 64 && value.bytes().all(|b| b.is_ascii_hexdigit());
    // Only what has to be is broken within a word, so that other columns keep their width.
    let long = value.split_whitespace().any(|word| word.len() > 24);
    let class = match (digest, long) {
        (true, _) => " class=\"mono\"",
        (_, true) => " class=\"long\"",
        _ => "",
    };
    format!("<td{class}>{}</td>", escape(value))
}

/// Text that means nothing to a browser but itself.
pub(super) fn escape(text: &str) -> String {
    printable(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::Page;

    #[test]
    fn content_is_never_markup() {
        let hostile = "</td><script>alert('1')</script>\" onload=\"x".to_owned();
        let mut page = Page::new(&hostile);
        page.facts(&[("name", hostile.clone())]);
        page.table(["a"], &[[hostile.clone()]]);
        page.list(std::slice::from_ref(&hostile));
        page.banner("passed", &hostile);
        let html = page.finish(&hostile);
        assert!(!html.contains("<script") && !html.contains("\" onload=\""));
        assert_eq!(html.matches("&lt;script&gt;").count(), 7);
    }
}
