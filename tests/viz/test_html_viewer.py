"""The viewer page: what it holds, and what a real browser makes of it."""

import json
import re
import shutil
import subprocess
import threading

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.morphable import builtin
from tf_faces.viz import html_viewer

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)

# Waits for all models, then moves the first slider and compares what is drawn.
PROBE = """
<script>
(async () => {
  const report = { loaded: 0 };
  const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
  const pixels = (viewer) => new Promise((done) => {
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = image.width; canvas.height = image.height;
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0);
      done(context.getImageData(0, 0, image.width, image.height).data);
    };
    image.src = viewer.toDataURL();
  });
  const drawn = (data) => {
    let count = 0;
    for (let i = 3; i < data.length; i += 4) if (data[i] > 0) count += 1;
    return 4 * count / data.length;
  };
  const changed = (a, b) => {
    let count = 0;
    for (let i = 0; i < a.length; i += 4) {
      const d = Math.abs(a[i] - b[i]) + Math.abs(a[i + 1] - b[i + 1])
        + Math.abs(a[i + 2] - b[i + 2]);
      if (d > 24) count += 1;
    }
    return 4 * count / a.length;
  };
  await pause(500);
  const viewers = [...document.querySelectorAll("model-viewer")];
  const settled = (v) => v.loaded || !v.isConnected;
  for (let wait = 0; wait < 200 && !viewers.every(settled); wait += 1) {
    await pause(100);
  }
  report.loaded = viewers.filter((v) => v.loaded).length;
  // Until the picture is as wanted: a busy machine draws late.
  const until = async (viewer, wanted) => {
    let data = await pixels(viewer);
    for (let wait = 0; wait < 100 && !wanted(data); wait += 1) {
      await pause(200);
      data = await pixels(viewer);
    }
    return data;
  };
  report.covered = [];
  for (const viewer of viewers.filter((v) => v.loaded)) {
    report.covered.push(drawn(await until(viewer, (data) => drawn(data) > 0.1)));
  }
  const slider = document.querySelector("input[type=range]");
  if (slider && viewers[0].loaded) {
    await pause(1500);
    const rest = await pixels(viewers[0]);
    slider.value = 1;
    slider.dispatchEvent(new Event("input"));
    const moved = await until(viewers[0], (data) => changed(rest, data) > 0.005);
    report.moved = changed(rest, moved);
    report.shown = slider.parentElement.querySelector("output").textContent;
    document.querySelector("form button").click();
    const back = await until(viewers[0], (data) => changed(rest, data) < 0.0005);
    report.restored = changed(rest, back);
  }
  report.sliders = document.querySelectorAll("input[type=range]").length;
  report.text = document.querySelector("main").innerText;
  console.info("PROBE:" + JSON.stringify(report));
})();
</script>
"""


@pytest.fixture(scope="module")
def model():
    return builtin.build("tiny").with_winding("ccw")


def expression_targets(model, count):
    one_each = np.eye(model.expression_count)[:count]
    moved = model.vertices(expression_coefficients=one_each) - model.vertices()
    return dict(zip(model.expression_names, moved, strict=False))


def data_of(page):
    found = re.search(r'id="faces">(.*?)</script>', page, re.DOTALL)
    return json.loads(found.group(1))


def browse(path, limit=120):
    """Opens the page in headless Chromium until its probe reports.

    Returns:
      the report, and the other lines of the console.
    """
    command = [
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
        "--enable-logging=stderr",
        "--window-size=1000,900",
        f"--user-data-dir={path.parent / 'profile'}",
        path.as_uri(),
    ]
    lines = []
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as browser:
        alarm = threading.Timer(limit, browser.kill)
        alarm.start()
        try:
            for line in browser.stderr:
                if "CONSOLE" not in line:
                    continue
                found = re.search(r'"PROBE:(.*)", source:', line)
                if found:
                    return json.loads(found.group(1)), lines
                lines.append(line)
        finally:
            alarm.cancel()
            browser.kill()
    raise AssertionError(f"the page did not report within {limit} s: {lines}")


def test_page_holds_everything_and_escapes_text(model):
    hostile = "</script><img src=x onerror=alert(1)>"
    targets = expression_targets(model, 2)
    items = [
        html_viewer.Item(model.mesh(), hostile, targets),
        html_viewer.Item(model.mesh(), "pair", before=model.mesh()),
    ]
    page = html_viewer.page(items, "A <b> title")
    assert hostile not in page and "A <b> title" not in page
    data = data_of(page)
    assert data["items"][0]["caption"] == hostile
    assert data["items"][0]["sliders"] == list(targets)
    assert len(data["models"]) == 3
    assert data["items"][1]["before"] is not None
    assert "Apache License" in page
    # Nothing outside is referred to by the page's own markup.
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r'(src|href)="(?!data:)', own)
    assert "default-src 'none'" in page


def test_faces_of_any_unit_are_shown_alike(model):
    face = model.mesh()
    targets = expression_targets(model, 1)
    pages = []
    for unit in ("um", "m", None):
        item = html_viewer.Item(face.replace(unit=unit), "a", targets)
        pages.append(html_viewer.page([item]))
    assert pages[0] == pages[1] == pages[2]


def test_empty_page_is_refused():
    with pytest.raises(InputError, match="0 faces"):
        html_viewer.page([])


def test_write_page_is_whole_or_absent(model, tmp_path):
    bad = {"smile": np.zeros((3, 3))}
    with pytest.raises(InputError, match="smile"):
        html_viewer.write_page(
            tmp_path / "page.html", [html_viewer.Item(model.mesh(), "", bad)]
        )
    with pytest.raises(InputError, match="page.png: found the suffix '.png'"):
        html_viewer.write_page(
            tmp_path / "page.png", [html_viewer.Item(model.mesh(), "")]
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_browser_draws_the_faces_and_the_slider_moves_them(model, tmp_path):
    shape = model.sample_shape(np.random.default_rng(0), 1)[0]
    other = model.mesh().replace(vertices=model.vertices(shape))
    items = [
        html_viewer.Item(model.mesh(), "neutral", expression_targets(model, 3)),
        html_viewer.Item(other, "pair", before=model.mesh()),
    ]
    path = html_viewer.write_page(tmp_path / "page.html", items)
    path.write_text(path.read_text().replace("</html>", PROBE + "</html>"))
    report, console = browse(path)
    assert report["loaded"] == 3
    assert all(0.1 < share < 0.9 for share in report["covered"]), report
    assert report["sliders"] == 3
    assert report["moved"] > 0.005, report
    assert report["shown"] == "1.00"
    assert report["restored"] < 0.0005, report
    # model-viewer's own remark that a busy machine draws late.
    assert not [line for line in console if "rAF timed out" not in line]


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_browser_says_what_is_wrong_with_a_damaged_model(model, tmp_path):
    page = html_viewer.page([html_viewer.Item(model.mesh(), "one")])
    first = data_of(page)["models"][0]
    path = tmp_path / "page.html"
    damaged = page.replace(first, first[: len(first) // 8 * 4])
    path.write_text(damaged.replace("</html>", PROBE + "</html>"))
    report, _ = browse(path)
    assert "could not be shown" in report["text"]
    assert report["loaded"] == 0
