# SPDX-License-Identifier: Apache-2.0
"""The page of the server in Chromium, as a person uses it: keys and clicks, and what can be read then."""

import os
import shutil
import subprocess
import sys
import time

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
DRIVER = shutil.which("chromedriver")


def missing():
    """What there must be for a browser and is not, or None. Another Python may have selenium (Debian's package is for
    the system's): then the program goes on in that one."""
    if not CHROMIUM or not DRIVER:
        return "Chromium or its driver is not installed"
    try:
        import selenium  # noqa: F401
    except ImportError:
        system = "/usr/bin/python3"
        here = os.path.realpath(sys.executable) == os.path.realpath(system)
        if not here and os.path.exists(system):
            if subprocess.run([system, "-c", "import selenium"], stderr=subprocess.DEVNULL).returncode == 0:
                sys.stdout.flush()
                os.execv(system, [system, *sys.argv])
        return "selenium is not installed"
    return None


class Page:
    """One tab."""

    def __init__(self, profile):
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        for argument in ("headless=new", "no-sandbox", "disable-gpu", "no-first-run", "disable-dev-shm-usage",
                         "user-data-dir=" + profile, "window-size=1280,860"):  # fmt: skip
            options.add_argument("--" + argument)
        options.binary_location = CHROMIUM
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service(DRIVER), options=options)
        self.driver.set_script_timeout(20)

    def close(self):
        self.driver.quit()

    def js(self, code, *arguments):
        return self.driver.execute_script(code, *arguments)

    def value(self, expression, *arguments):
        return self.js("return " + expression, *arguments)

    def wait(self, expression, seconds=10):
        """Until the expression is true; its value, or None after that time."""
        end = time.monotonic() + seconds
        while True:
            value = self.value(expression)
            if value or time.monotonic() > end:
                return value or None
            time.sleep(0.02)

    def open(self, url):
        self.driver.get(url)

    def size(self, width, height=860):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, scheme):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def keys(self, *keys):
        """To whatever has the focus; names of keys, or text."""
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.keys import Keys

        chain = ActionChains(self.driver, duration=0)
        for key in keys:
            shift = key.startswith("SHIFT+")
            name = key.removeprefix("SHIFT+")
            if shift:
                chain.key_down(Keys.SHIFT)
            chain.send_keys(getattr(Keys, name) if name.isupper() and hasattr(Keys, name) else name)
            if shift:
                chain.key_up(Keys.SHIFT)
        chain.perform()

    def click(self, selector):
        from selenium.webdriver.common.by import By

        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def click_text(self, text, within="body"):
        """The last button with this text that can be seen."""
        found = self.value(
            "[...document.querySelector(arguments[1]).querySelectorAll('button')].filter("
            "b => b.textContent.trim() === arguments[0] && b.getClientRects().length).pop()",
            text, within,
        )  # fmt: skip
        found.click()

    def ask(self, text, wait=True):
        self.js("byId('message').focus()")
        self.keys(text, "ENTER")
        if wait:
            return self.answered()
        return None

    def answered(self, seconds=30):
        return self.wait("streams.size === 0", seconds)

    def messages(self):
        """(role, text as it is seen) of each."""
        return [tuple(m) for m in self.value(
            "[...byId('messages').children].map(m => [m.className, m.querySelector('.text, .md').innerText])")]  # fmt: skip

    def last(self):
        return self.messages()[-1][1]

    def note(self):
        return self.value("[...byId('messages').querySelectorAll('.note')].pop().textContent")

    def notice(self):
        return self.value("byId('notice').innerText")

    def focused(self):
        """Name of what has the focus."""
        return self.value(
            "(e => e.getAttribute('aria-label') || (e.tagName === 'BUTTON' && e.textContent.trim()) || e.id || e.textContent.trim())"
            "(document.activeElement).slice(0, 40)"
        )

    def problems(self):
        """What the console says, without the statuses of responses, which are those that were asked for."""
        bad = [line for line in self.driver.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]
        return [line["message"] for line in bad if line["source"] != "network"]
