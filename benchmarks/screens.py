"""Pictures of the gallery as a browser shows it, for the documents.

    tfgen gallery --out build/gallery
    python benchmarks/screens.py build/gallery docs

Needs Chromium, its driver, and the package selenium (the extra "test").
"""

import argparse
import functools
import http.server
import pathlib
import shutil
import threading
import time

from PIL import Image
from selenium import webdriver

DRAWN = """return /^[0-9]+ samples/.test(document.getElementById('status').textContent)
    || document.querySelector('#functions')?.checkVisibility()"""
PAGES = ("cgan-mnist", "vae-mnist", "cyclegan-digits")


class Server(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Says nothing."""


def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    return webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))


def shot(driver, address, path, width=1100, height=1100):
    """Writes what a page shows at this size, in few colours."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get(address)
    end = time.monotonic() + 60
    wall = not address.endswith("/index.html")
    done = "return [...document.images].every((i) => i.complete)" if wall else DRAWN
    while not driver.execute_script(done):
        assert time.monotonic() < end, f"{address} does not draw"
        time.sleep(0.1)
    time.sleep(2)  # the strip and the map come after the samples
    driver.save_screenshot(str(path))
    Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size:,} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    options = parser.parse_args()
    handler = functools.partial(Server, directory=options.site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address, driver = f"http://127.0.0.1:{server.server_port}/", browser()
        try:
            shot(driver, address, options.out / "gallery-wall.png")
            shot(driver, address, options.out / "gallery-phone.png", 390, 844)
            for name in PAGES:
                page = f"{address}models/{name}/index.html"
                shot(driver, page, options.out / f"gallery-{name}.png")
        finally:
            driver.quit()
            server.shutdown()


if __name__ == "__main__":
    main()
