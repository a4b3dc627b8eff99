"""Widgets that are more than a line: curves, recordings, paintings, cameras. Drawn, undone, saved, run."""

from __future__ import annotations

import io
import math
import struct
import wave
from typing import Any

import av
import numpy as np

CURVE = {"points": [[0, 0], [0.25, 0.6], [1, 1]], "interpolation": "monotone_cubic"}

DEVICES = """() => {
  // A tone and a red picture, as there is no microphone or camera.
  const make = ({audio, video}) => {
    if (window.noDevices) return Promise.reject(new DOMException('none', 'NotFoundError'));
    if (audio) {
      const context = new AudioContext();
      const tone = new OscillatorNode(context), out = context.createMediaStreamDestination();
      tone.connect(out);
      tone.start();
      return Promise.resolve(out.stream);
    }
    const canvas = Object.assign(document.createElement('canvas'), {width: 64, height: 32});
    const pen = canvas.getContext('2d');
    setInterval(() => { pen.fillStyle = '#f00'; pen.fillRect(0, 0, 64, 32); }, 20);
    return Promise.resolve(canvas.captureStream(25));
  };
  Object.defineProperty(navigator, 'mediaDevices', {value: {getUserMedia: make}, configurable: true});
}"""

NODES = [
    (1, "EmptyImage", [40, 60], [280, 160], [], ["IMAGE"], [64, 64, 1, 8421504]),
    (2, "ImageHistogram", [40, 270], [280, 120], [("image", "IMAGE", 1)], ["HISTOGRAM"] * 5, []),
    (3, "CurveEditor", [360, 60], [300, 290], [("histogram", "HISTOGRAM", 2)], ["CURVE"], [CURVE]),
    (4, "RecordAudio", [40, 480], [300, 110], [], ["AUDIO"], ["", ""]),
    (5, "PreviewAudio", [360, 480], [300, 90], [("audio", "AUDIO", 3)], ["AUDIO"], []),
    (6, "Painter", [700, 60], [340, 480], [("image", "IMAGE", None)], ["IMAGE", "MASK"], ["", 256, 128, "#0000ff"]),
    (7, "PreviewImage", [1080, 60], [240, 260], [("images", "IMAGE", 4)], ["IMAGE"], []),
    (8, "WebcamCapture", [700, 600], [340, 320], [], ["IMAGE"], ["", 0, 0, True]),
    (9, "PreviewImage", [1080, 600], [240, 260], [("images", "IMAGE", 5)], ["IMAGE"], []),
    (10, "PreviewAny", [360, 640], [300, 140], [("source", "*", 6)], [], []),
]
LINKS = [
    [1, 1, 0, 2, 0, "IMAGE"],
    [2, 2, 0, 3, 0, "HISTOGRAM"],
    [3, 4, 0, 5, 0, "AUDIO"],
    [4, 6, 0, 7, 0, "IMAGE"],
    [5, 8, 0, 9, 0, "IMAGE"],
    [6, 3, 0, 10, 0, "CURVE"],
]


def graph() -> dict[str, Any]:
    """As the field saves it."""
    nodes = [
        {
            "id": number,
            "type": kind,
            "pos": place,
            "size": size,
            "inputs": [{"name": name, "type": of, "link": link} for name, of, link in inputs],
            "outputs": [
                {"name": of, "type": of, "links": [one[0] for one in LINKS if one[1:3] == [number, slot]]}
                for slot, of in enumerate(outputs)
            ],
            "widgets_values": values,
        }
        for number, kind, place, size, inputs, outputs, values in NODES
    ]
    return {"nodes": nodes, "links": LINKS, "last_node_id": 10, "last_link_id": 6, "version": 0.4}


def at(holder: Any, x: float, y: float) -> tuple[float, float]:
    """A place of an element, by shares of its width and height."""
    box = holder.bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def saved(editor: Any, node: int) -> Any:
    """The values of a node, as the file has them."""
    return next(one for one in editor.workflow()["nodes"] if one["id"] == node)["widgets_values"]


def pixel(editor: Any, node: int, x: int, y: int) -> list[int]:
    """One of the picture that a node shows."""
    editor.picture(node)
    look = """([node, x, y]) => {
      const image = document.querySelector(`[data-node="${node}"] .sl-preview-picture img`);
      if (!image?.complete || !image.naturalWidth) return null;
      const canvas = Object.assign(document.createElement('canvas'), {width: image.naturalWidth, height: image.naturalHeight});
      const pen = canvas.getContext('2d');
      pen.drawImage(image, 0, 0);
      return [...pen.getImageData(x, y, 1, 1).data].slice(0, 3);
    }"""
    return list(editor.until(look, [node, x, y]))


def near(colour: list[int], wanted: tuple[int, int, int]) -> bool:
    return all(abs(one - other) < 24 for one, other in zip(colour, wanted))


def draw_a_curve(editor: Any) -> None:
    keyboard = editor.page.keyboard
    plot = editor.widget(3, "curve").locator("[data-curve]")
    editor.drag(at(plot, 0.25, 0.4), at(plot, 0.5, 0.5))
    dragged = saved(editor, 3)[0]
    assert [len(dragged["points"]), dragged["interpolation"]] == [3, "monotone_cubic"]
    assert all(abs(side - 0.5) < 0.03 for side in dragged["points"][1])
    editor.command("edit.undo")
    assert saved(editor, 3) == [CURVE]
    editor.command("edit.redo")

    plot.get_by_role("button", name="Point 2 of 3").focus()
    keyboard.press("Shift+ArrowUp")
    assert saved(editor, 3)[0]["points"][1][1] == round(dragged["points"][1][1] + 0.1, 4)
    keyboard.press("Delete")
    assert saved(editor, 3)[0]["points"] == [[0, 0], [1, 1]]
    editor.widget(3, "curve").get_by_role("combobox").select_option("straight")
    editor.page.mouse.click(*at(plot, 0.5, 0.2))
    points = saved(editor, 3)[0]["points"]
    assert len(points) == 3
    assert abs(points[1][0] - 0.5) < 0.03
    assert abs(points[1][1] - 0.8) < 0.03
    assert saved(editor, 3)[0]["interpolation"] == "linear"
    assert len(editor.nodes("CurveEditor")) == 1


def record(editor: Any) -> None:
    holder = editor.widget(4, "audio")
    holder.get_by_role("button", name="Record", exact=True).click()
    holder.locator("output", has_text="0:01").wait_for()
    holder.get_by_role("button", name="Stop").click()
    holder.locator("audio").wait_for()
    value, *rest = saved(editor, 4)
    assert value.startswith("recording-")
    assert value.endswith(".wav")
    assert rest == [""]
    assert editor.until("() => document.querySelector('[data-widget=\"4:audio\"] audio').duration > 0.5")
    editor.page.evaluate("() => { window.noDevices = true; }")
    holder.get_by_role("button", name="Record", exact=True).click()
    editor.toast("No microphone was found")
    editor.page.evaluate("() => { window.noDevices = false; }")


def paint(editor: Any) -> None:
    keyboard = editor.page.keyboard
    holder = editor.widget(6, "mask")
    paper = holder.locator("[data-paper]")
    # The paper is 256 × 128 and as wide as the node: its middle is that of the widget.
    editor.drag(at(paper, 0.25, 0.5), at(paper, 0.75, 0.5))
    first = saved(editor, 6)[0]
    assert first.startswith("painter-6-")
    assert first.endswith(".png [input]")
    holder.get_by_role("button", name="Eraser").click()
    paper.focus()
    keyboard.press("Space")
    for _ in range(4):
        keyboard.press("ArrowRight")
    keyboard.press("Space")
    second = saved(editor, 6)[0]
    assert second not in ("", first)
    editor.command("edit.undo")
    assert saved(editor, 6) == [first, 256, 128, "#0000ff"]


def test_widgets_are_drawn_undone_saved_and_run(editor):
    page = editor.page
    page.evaluate(DEVICES)
    editor.load(graph())
    editor.command("canvas.fitAll")
    draw_a_curve(editor)
    record(editor)
    paint(editor)
    editor.widget(8, "image").get_by_role("button", name="Start the camera").click()
    editor.until("() => document.querySelector('[data-widget=\"8:image\"] video').videoWidth > 0")
    editor.shot("widgets-before")
    editor.run()
    assert near(pixel(editor, 9, 32, 16), (255, 0, 0))
    assert saved(editor, 8)[0].startswith("webcam/")
    assert saved(editor, 8)[0].endswith(".png [temp]")
    assert near(pixel(editor, 7, 128, 64), (255, 255, 255))
    assert near(pixel(editor, 7, 128, 8), (0, 0, 255))
    editor.node(10).locator(".sl-preview-text", has_text='"interpolation": "linear"').wait_for()
    editor.node(3).locator(".sl-curve-bars").wait_for(state="attached")
    editor.node(5).locator(".sl-preview audio").wait_for()
    editor.shot("widgets-after")
    editor.kept()
    page.reload()
    editor.node(5).locator(".sl-preview audio").wait_for()
    assert near(pixel(editor, 7, 128, 64), (255, 255, 255))
    editor.widget(4, "audio").locator("audio").wait_for()
    editor.shot("widgets-reloaded")
    editor.healthy()


def film() -> bytes:
    """Half a second of grey, as WebM, which every browser plays."""
    file = io.BytesIO()
    with av.open(file, "w", format="webm") as made:
        stream = made.add_stream("libvpx", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        for level in range(4):
            frame = av.VideoFrame.from_ndarray(np.full((32, 64, 3), 40 * level, np.uint8), format="rgb24")
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return file.getvalue()


def tone() -> bytes:
    """Half a second."""
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setparams((1, 2, 8000, 0, "NONE", ""))
        made.writeframes(b"".join(struct.pack("<h", int(9000 * math.sin(at / 4))) for at in range(4000)))
    return file.getvalue()


def films() -> dict[str, Any]:
    """A video and a sound from files, and both saved; a sound for the recorder; a shader."""
    told = [
        (1, "LoadVideo", [40, 60], [300, 280], [], ["VIDEO"], ["", "image"]),
        (2, "SaveVideo", [380, 60], [300, 320], [("video", "VIDEO", 1)], ["VIDEO"], ["film", "auto", "auto"]),
        (3, "LoadAudio", [40, 420], [300, 140], [], ["AUDIO"], ["", None, None]),
        (4, "SaveAudio", [380, 420], [300, 140], [("audio", "AUDIO", 2)], ["AUDIO"], ["sound"]),
        (5, "RecordAudio", [40, 620], [300, 110], [], ["AUDIO"], ["", ""]),
    ]
    links = [[1, 1, 0, 2, 0, "VIDEO"], [2, 3, 0, 4, 0, "AUDIO"]]
    nodes = [
        {
            "id": number,
            "type": kind,
            "pos": place,
            "size": size,
            "inputs": [{"name": name, "type": of, "link": link} for name, of, link in inputs],
            "outputs": [
                {"name": of, "type": of, "links": [number // 2 + 1] if number in (1, 3) else None} for of in outputs
            ],
            "widgets_values": values,
        }
        for number, kind, place, size, inputs, outputs, values in told
    ]
    return {"nodes": nodes, "links": links, "last_node_id": 5, "last_link_id": 2, "version": 0.4}


def test_videos_and_sounds_are_dropped_chosen_played_saved_and_in_the_gallery(editor):
    page = editor.page
    editor.load(films())
    editor.drop('[data-node="1"]', ("grey.webm", film()))
    editor.node(1).locator(".sl-preview video").wait_for()
    assert saved(editor, 1) == ["grey.webm", "image"]
    assert editor.until("() => document.querySelector('[data-node=\"1\"] video').videoWidth === 64")
    editor.node(3).locator("input[type=file]").set_input_files(
        {"name": "tone.wav", "mimeType": "audio/wav", "buffer": tone()}
    )
    editor.node(3).locator(".sl-preview audio").wait_for()
    assert saved(editor, 3)[0] == "tone.wav"
    editor.drop('[data-node="5"]', ("tone.wav", tone()))
    editor.node(5).locator(".sl-recording audio").wait_for()
    assert saved(editor, 5) == ["tone.wav", ""]
    editor.command("edit.undo")
    assert saved(editor, 5) == ["", ""]
    editor.run()
    editor.node(2).locator(".sl-preview video").wait_for()
    editor.node(4).locator(".sl-preview audio").wait_for()
    editor.command("panel.gallery")
    page.locator(".sl-tile__picture").first.click()
    page.locator(".sl-lightbox :is(video, audio)").first.wait_for()
    editor.shot("films-lightbox")
    page.keyboard.press("Escape")
    page.locator(".sl-lightbox").wait_for(state="detached")
    editor.shot("films")
    editor.kept()
    page.reload()
    editor.node(2).locator(".sl-preview video").wait_for()
    editor.node(4).locator(".sl-preview audio").wait_for()
    editor.shot("films-reloaded")
