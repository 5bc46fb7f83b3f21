//! The images of the README.

use std::path::Path;

use super::driver::{Browser, Driver, Window};
use crate::living_demo::LivingDemo;

#[ignore = "writes docs/images"]
#[tokio::test]
async fn record_screenshots() {
    let demo = LivingDemo::start().await;
    let driver = Driver::start();
    let browser = Browser::open(&driver, demo.api.base(), Window::WIDE).await;
    browser.log_in(&demo.admin).await;
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images");
    std::fs::create_dir_all(&images).unwrap();
    for (name, page) in [("overview", "/"), ("costs", "/costs?group_by=product")] {
        browser.go(page).await;
        let png = browser.screenshot().await;
        std::fs::write(images.join(format!("{name}.png")), png).unwrap();
    }
    browser.close().await;
}
