"use strict";
// Builds the page from the JSON in #faces.  Everything is inside this file: the models
// are data URIs, and nothing is fetched from anywhere.
(() => {
  const faces = JSON.parse(document.getElementById("faces").textContent);
  const main = document.querySelector("main");
  main.classList.toggle("single", faces.items.length === 1);

  const make = (tag, text, className) => {
    const element = document.createElement(tag);
    if (text) element.textContent = text;
    if (className) element.className = className;
    return element;
  };

  // model-viewer has no public call for morph weights; its three.js scene, which it
  // keeps under a symbol, has them.  The script's version is fixed with this page.
  const sceneOf = (viewer) => {
    const key = Object.getOwnPropertySymbols(viewer).find((s) => s.description === "scene")
      || Object.getOwnPropertySymbols(Object.getPrototypeOf(viewer)).find((s) => s.description === "scene");
    return viewer[key];
  };

  const setWeights = (viewer, weights) => {
    if (!viewer.loaded) return;
    const scene = sceneOf(viewer);
    scene.traverse((node) => {
      if (node.morphTargetInfluences) {
        weights.forEach((weight, index) => { node.morphTargetInfluences[index] = weight; });
      }
    });
    scene.queueRender();
  };

  const makeViewer = (model, caption) => {
    const viewer = document.createElement("model-viewer");
    viewer.setAttribute("camera-controls", "");
    viewer.setAttribute("interaction-prompt", "none");
    viewer.setAttribute("touch-action", "pan-y");
    viewer.setAttribute("shadow-intensity", "0");
    viewer.setAttribute("exposure", "0.95");
    viewer.setAttribute("camera-orbit", "0deg 90deg 105%");
    viewer.setAttribute("min-camera-orbit", "auto 0deg auto");
    viewer.setAttribute("max-camera-orbit", "auto 180deg auto");
    viewer.setAttribute("alt", caption || "a face");
    if (faces.autoRotate) {
      viewer.setAttribute("auto-rotate", "");
      viewer.setAttribute("auto-rotate-delay", "1500");
    }
    viewer.addEventListener("error", (event) => {
      const detail = event.detail && event.detail.sourceError;
      viewer.replaceWith(make("p", `This model could not be shown: ${detail || "unknown error"}`, "problem"));
    });
    viewer.src = `data:model/gltf-binary;base64,${faces.models[model]}`;
    return viewer;
  };

  // Two views of a pair turn together.
  const couple = (first, second) => {
    let leading = null;
    for (const [leader, follower] of [[first, second], [second, first]]) {
      leader.addEventListener("camera-change", (event) => {
        if (event.detail.source !== "user-interaction" || leading === follower) return;
        leading = leader;
        follower.cameraOrbit = leader.getCameraOrbit().toString();
        follower.jumpCameraToGoal();
        leading = null;
      });
    }
  };

  const makeSliders = (names, viewer) => {
    const form = make("form");
    const weights = names.map(() => 0);
    const inputs = names.map((name, index) => {
      const label = make("label");
      const input = make("input");
      const value = make("output", "0.00");
      Object.assign(input, { type: "range", min: 0, max: 1, step: 0.01, value: 0 });
      input.setAttribute("aria-label", name);
      input.addEventListener("input", () => {
        weights[index] = Number(input.value);
        value.textContent = weights[index].toFixed(2);
        setWeights(viewer, weights);
      });
      label.append(make("span", name), input, value);
      form.append(label);
      return input;
    });
    const reset = make("button", "Reset");
    reset.type = "button";
    reset.addEventListener("click", () => {
      for (const input of inputs) {
        input.value = 0;
        input.dispatchEvent(new Event("input"));
      }
    });
    form.append(reset);
    viewer.addEventListener("load", () => setWeights(viewer, weights));
    return form;
  };

  for (const item of faces.items) {
    const card = make("section", "", item.before === null ? "" : "pair");
    const views = make("div", "", "views");
    const viewer = makeViewer(item.model, item.caption);
    if (item.before !== null) {
      const before = makeViewer(item.before, `${item.caption} before`);
      for (const [view, text] of [[before, item.beforeCaption], [viewer, item.afterCaption]]) {
        const figure = make("figure");
        figure.append(view, make("figcaption", text));
        views.append(figure);
      }
      couple(before, viewer);
    } else {
      const figure = make("figure");
      figure.append(viewer);
      views.append(figure);
    }
    card.append(views);
    if (item.caption) card.append(make("h2", item.caption));
    if (item.sliders.length) card.append(makeSliders(item.sliders, viewer));
    main.append(card);
  }
})();
