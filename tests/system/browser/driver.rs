//! Chromium, driven by `chromedriver`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Client;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use super::axe;
use crate::support::eventually;

/// A running driver; it ends with the value.
pub(super) struct Driver {
    process: Child,
    url: String,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Driver {
    /// Starts the driver on a free port, which it prints.
    pub(super) fn start() -> Self {
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let port = output.lines().find_map(|line| {
            let line = line.unwrap();
            let (_, port) = line.split_once("successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        let url = format!("http://127.0.0.1:{}", port.unwrap());
        Self { process, url }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Theme {
    Light,
    Dark,
}

/// The settings of a browser window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) width: u32,
    pub(super) theme: Theme,
    pub(super) has_scripts: bool,
}

impl Window {
    pub(super) const WIDE: Self = Self {
        width: 1280,
        theme: Theme::Light,
        has_scripts: true,
    };
}

/// A browser window on the pages of one API.
pub(super) struct Browser {
    client: Client,
    /// The address of the session of the driver.
    session: String,
    base: String,
}

impl Browser {
    pub(super) async fn open(driver: &Driver, base: &str, window: Window) -> Self {
        let scheme = match window.theme {
            Theme::Light => "1",
            Theme::Dark => "0",
        };
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            format!("--blink-settings=preferredColorScheme={scheme}"),
            format!("--window-size={},1000", window.width),
        ];
        let mut options = json!({});
        if !window.has_scripts {
            arguments.push("--blink-settings=scriptEnabled=false".to_owned());
        }
        if window.width < 500 {
            // A window of Chromium is at least 500 pixels wide.
            let size = json!({ "width": window.width, "height": 800, "pixelRatio": 1 });
            options["mobileEmulation"] = json!({ "deviceMetrics": size });
        }
        options["args"] = json!(arguments);
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL" },
            // Milliseconds: axe takes long on a long table while other tests run.
            "timeouts": { "script": 180_000 },
        } } });
        let client = Client::builder()
            .tls_certs_only([])
            .no_proxy()
            .build()
            .unwrap();
        let sessions = format!("{}/session", driver.url);
        let session = post(&client, &sessions, &capabilities).await;
        let id = session["sessionId"].as_str().unwrap();
        Self {
            client,
            session: format!("{sessions}/{id}"),
            base: base.to_owned(),
        }
    }

    async fn command(&self, path: &str, body: &Value) -> Value {
        post(&self.client, &format!("{}/{path}", self.session), body).await
    }

    async fn read(&self, path: &str) -> Value {
        let address = format!("{}/{path}", self.session);
        let response = self.client.get(address).send().await.unwrap();
        let mut body: Value = response.json().await.unwrap();
        body["value"].take()
    }

    pub(super) async fn close(self) {
        self.client.delete(&self.session).send().await.unwrap();
    }

    pub(super) async fn go(&self, path: &str) {
        self.visit(&format!("{}{path}", self.base)).await;
    }

    /// Opens a page of any origin.
    pub(super) async fn visit(&self, url: &str) {
        self.command("url", &json!({ "url": url })).await;
    }

    /// The path and query of the current page.
    pub(super) async fn path(&self) -> String {
        let url = self.read("url").await;
        let path = url.as_str().unwrap().strip_prefix(&self.base);
        path.unwrap_or_else(|| panic!("{url}")).to_owned()
    }

    /// Logs in by the form.
    pub(super) async fn log_in(&self, token: &str) {
        self.go("/login").await;
        self.fill("#token", token).await;
        self.click("form.card button").await;
        self.wait_for("form[action='/logout']").await;
    }

    /// The address of an element below the session.
    async fn element(&self, css: &str) -> String {
        let locator = json!({ "using": "css selector", "value": css });
        let element = self.command("element", &locator).await;
        let id = element.as_object().unwrap().values().next().unwrap();
        format!("element/{}", id.as_str().unwrap())
    }

    pub(super) async fn click(&self, css: &str) {
        let element = self.element(css).await;
        self.command(&format!("{element}/click"), &json!({})).await;
    }

    /// Accepts the question of the page.
    pub(super) async fn confirm(&self) {
        self.command("alert/accept", &json!({})).await;
    }

    /// Waits until the page has an element: a click returns before the next page is loaded.
    pub(super) async fn wait_for(&self, css: &str) {
        eventually(css, async || {
            let found = self.texts(css).await;
            (!found.is_empty()).then_some(())
        })
        .await;
    }

    /// Clicks on the link with this text, and waits until its page is loaded.
    pub(super) async fn click_link(&self, text: &str) {
        let locator = json!({ "using": "link text", "value": text });
        let element = self.command("element", &locator).await;
        let id = element.as_object().unwrap().values().next().unwrap();
        let before = self.path().await;
        let path = format!("element/{}/click", id.as_str().unwrap());
        self.command(&path, &json!({})).await;
        eventually(text, async || (self.path().await != before).then_some(())).await;
    }

    /// Opens the address of a link.
    pub(super) async fn follow(&self, css: &str) {
        let script = "return document.querySelector(arguments[0])?.getAttribute('href')";
        let address = self.run(script, json!([css])).await;
        let address = address.as_str().unwrap_or_else(|| panic!("no link {css}"));
        self.go(address).await;
    }

    pub(super) async fn fill(&self, css: &str, text: &str) {
        let element = self.element(css).await;
        self.command(&format!("{element}/clear"), &json!({})).await;
        let text = json!({ "text": text });
        self.command(&format!("{element}/value"), &text).await;
    }

    /// The texts of all elements.
    pub(super) async fn texts(&self, css: &str) -> Vec<String> {
        let script =
            "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent.trim())";
        let texts = self.run(script, json!([css])).await;
        serde_json::from_value(texts).unwrap()
    }

    pub(super) async fn run(&self, script: &str, arguments: Value) -> Value {
        let call = json!({ "script": script, "args": arguments });
        self.command("execute/sync", &call).await
    }

    /// Reads the file of a download link, with the session of the browser.
    pub(super) async fn download(&self, css: &str) -> String {
        let script = "const done = arguments[1];
            fetch(document.querySelector(arguments[0]).href).then(r => r.text()).then(done)";
        let call = json!({ "script": script, "args": [css] });
        let text = self.command("execute/async", &call).await;
        text.as_str().unwrap().to_owned()
    }

    /// The page as PDF, printed on A4.
    pub(super) async fn print(&self) -> Vec<u8> {
        let paper = json!({ "page": { "width": 21.0, "height": 29.7 } });
        let pdf = self.command("print", &paper).await;
        STANDARD.decode(pdf.as_str().unwrap()).unwrap()
    }

    /// The page as PNG.
    pub(super) async fn screenshot(&self) -> Vec<u8> {
        let png = self.read("screenshot").await;
        STANDARD.decode(png.as_str().unwrap()).unwrap()
    }

    /// Errors that the browser reported since the last call: of scripts, requests and the content
    /// policy.
    pub(super) async fn problems(&self) -> Vec<String> {
        // An extension of chromedriver.
        let log = self.command("se/log", &json!({ "type": "browser" })).await;
        let entries = log.as_array().unwrap().iter();
        let severe = entries.filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].to_string()).collect()
    }

    /// Violations of accessibility rules on the current page, by axe-core.
    pub(super) async fn violations(&self) -> Vec<String> {
        self.run(axe::script(), json!([])).await;
        let script = "const done = arguments[0];
            axe.run(document, { resultTypes: ['violations'] }).then(r => done(r.violations.map(v =>
                v.id + ': ' + v.nodes.map(n => n.target.join(' ') + ' ' + (n.any[0]?.message ?? '')).slice(0, 3).join('; '))))";
        let call = json!({ "script": script, "args": [] });
        let found = self.command("execute/async", &call).await;
        serde_json::from_value(found).unwrap()
    }

    /// Pixels by which the page is wider than the window.
    pub(super) async fn overflow(&self) -> i64 {
        let script =
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        self.run(script, json!([])).await.as_i64().unwrap()
    }
}

/// Sends a command and returns its value; panics with the error of the driver.
async fn post(client: &Client, address: &str, body: &Value) -> Value {
    let response = client.post(address).json(body).send().await.unwrap();
    let is_success = response.status().is_success();
    let mut answer: Value = response.json().await.unwrap();
    assert!(is_success, "{address} {body}: {answer}");
    answer["value"].take()
}
