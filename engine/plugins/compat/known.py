"""Which names packs import from the field's modules, read off 25 packs (PACKS.md): a name of ours, or absent."""

from __future__ import annotations

from typing import Final

_NAMES: Final[dict[str, str]] = {
    "comfy": "",
    "comfy.checkpoint_pickle": "",
    "comfy.cldm": "",
    "comfy.cldm.cldm": "ControlNet",
    "comfy.cli_args": "LatentPreviewMethod args parser",
    "comfy.clip_vision": "ClipVisionModel Output clip_preprocess load load_clipvision_from_sd",
    "comfy.comfy_types": "",
    "comfy.comfy_types.node_typing": "IO",
    "comfy.conds": "CONDRegular",
    "comfy.context_windows": (
        "ContextFuseMethod ContextSchedule IndexListContextHandler create_prepare_sampling_wrapper "
        "create_sampler_sample_wrapper get_matching_context_schedule get_matching_fuse_method"
    ),
    "comfy.controlnet": "ControlBase ControlLora ControlNet T2IAdapter load_controlnet",
    "comfy.diffusers_convert": "load_diffusers",
    "comfy.diffusers_load": "",
    "comfy.float": "stochastic_rounding",
    "comfy.gligen": "",
    "comfy.hooks": "",
    "comfy.k_diffusion": "",
    "comfy.k_diffusion.sampling": (
        "BrownianTreeNoiseSampler default_noise_sampler get_ancestral_step sample_dpmpp_2m_sde "
        "sample_dpmpp_2m_sde_gpu sample_dpmpp_3m_sde sample_dpmpp_3m_sde_gpu sample_dpmpp_sde "
        "sample_dpmpp_sde_gpu to_d"
    ),
    "comfy.k_diffusion.utils": "FolderOfImages",
    "comfy.latent_formats": "Flux SC_B SC_Prior SD15 SD3 SDXL SDXL_Playground_2_5 SD_X4 Wan21",
    "comfy.ldm": "",
    "comfy.ldm.common_dit": "rms_norm",
    "comfy.ldm.flux": "",
    "comfy.ldm.flux.layers": "DoubleStreamBlock SingleStreamBlock timestep_embedding",
    "comfy.ldm.flux.math": "apply_rope",
    "comfy.ldm.lightricks": "",
    "comfy.ldm.lightricks.model": "GuideAttentionMask _attention_with_guide_mask apply_rotary_emb",
    "comfy.ldm.lightricks.vae": "",
    "comfy.ldm.lightricks.vae.causal_conv3d": "CausalConv3d",
    "comfy.ldm.lightricks.vae.causal_video_autoencoder": "Decoder Encoder ResnetBlock3D",
    "comfy.ldm.lightricks.vae.pixel_norm": "PixelNorm",
    "comfy.ldm.lumina": "",
    "comfy.ldm.lumina.model": "FeedForward",
    "comfy.ldm.minimax": "",
    "comfy.ldm.minimax.model": "MiniMaxH3Model PackedLayout _mod_gate _mod_scale_shift",
    "comfy.ldm.models": "",
    "comfy.ldm.models.autoencoder": "AutoencoderKL",
    "comfy.ldm.modules": "",
    "comfy.ldm.modules.attention": (
        "BasicTransformerBlock SpatialTransformer attention_flash attention_pytorch attention_sage "
        "attention_xformers optimized_attention optimized_attention_masked wrap_attn"
    ),
    "comfy.ldm.modules.diffusionmodules": "",
    "comfy.ldm.modules.diffusionmodules.mmdit": "JointBlock RMSNorm",
    "comfy.ldm.modules.diffusionmodules.model": "ResnetBlock",
    "comfy.ldm.modules.diffusionmodules.openaimodel": "Downsample ResBlock UNetModel Upsample apply_control",
    "comfy.ldm.modules.distributions": "",
    "comfy.ldm.modules.distributions.distributions": "DiagonalGaussianDistribution",
    "comfy.ldm.wan": "",
    "comfy.ldm.wan.model": "WanI2VCrossAttention WanT2VCrossAttention",
    "comfy.ldm.wan.vae": "CausalConv3d RMS_norm",
    "comfy.lora": "calculate_weight load_lora model_lora_keys_clip model_lora_keys_unet",
    "comfy.model_base": (
        "BaseModel CLIPEmbeddingNoiseAugmentation ModelType SDXL SDXLRefiner SDXL_instructpix2pix Timestep sdxl_pooled"
    ),
    "comfy.model_detection": (
        "convert_config count_blocks unet_config_from_diffusers_unet unet_prefix_from_state_dict"
    ),
    "comfy.model_management": (
        "InterruptProcessingException cast_to cast_to_device device_supports_non_blocking free_memory "
        "get_autocast_device get_free_memory get_torch_device get_torch_device_name get_total_memory "
        "in_training intermediate_device intermediate_dtype is_device_mps is_directml_enabled is_intel_xpu "
        "load_model_gpu load_models_gpu raise_non_oom should_use_fp16 soft_empty_cache text_encoder_device "
        "text_encoder_offload_device throw_exception_if_processing_interrupted unet_dtype unet_manual_cast "
        "unet_offload_device unload_all_models unload_model_clones vae_device vae_dtype vae_offload_device "
        "xformers_enabled"
    ),
    "comfy.model_patcher": "ModelPatcher",
    "comfy.model_sampling": "CONST time_snr_shift",
    "comfy.ops": "cast_to disable_weight_init linear_input_act manual_cast pick_operations",
    "comfy.options": "",
    "comfy.patcher_extension": "CallbacksMP WrappersMP",
    "comfy.quant_ops": "ck",
    "comfy.sample": (
        "cleanup_additional_models fix_empty_latent_channels np prepare_mask prepare_noise sample sample_custom"
    ),
    "comfy.sampler_helpers": "cleanup_additional_models convert_cond get_additional_models prepare_mask",
    "comfy.samplers": (
        "CFGGuider CFGNoisePredictor KSAMPLER KSampler KSamplerX0Inpaint SAMPLER_NAMES SCHEDULER_NAMES "
        "Sampler calculate_sigmas can_concat_cond cond_cat get_area_and_mult k_diffusion_sampling sample "
        "sampler_object sampling_function wrap_model"
    ),
    "comfy.sd": (
        "CLIP CLIPType VAE load_checkpoint load_checkpoint_guess_config load_clip load_controlnet "
        "load_diffusion_model_state_dict load_lora_for_models load_text_encoder_state_dicts load_unet "
        "load_unet_state_dict"
    ),
    "comfy.sd1_clip": "SD1ClipModel",
    "comfy.sd3_clip": "SD3ClipModel SD3Tokenizer T5XXLModel",
    "comfy.sdxl_clip": "SDXLClipG SDXLClipModel SDXLRefinerClipModel SDXLTokenizer",
    "comfy.supported_models": "Flux GenmoMochi HunyuanDiT SD15 SD20 SD3 SDXL SDXLRefiner SVD_img2vid models",
    "comfy.supported_models_base": "BASE",
    "comfy.taesd": "",
    "comfy.taesd.taehv": "TAEHV apply_model_with_memblocks conv",
    "comfy.taesd.taesd": "Block Clamp conv",
    "comfy.text_encoders": "",
    "comfy.text_encoders.sd3_clip": "SD3ClipModel SD3Tokenizer T5XXLModel",
    "comfy.utils": (
        "PROGRESS_BAR_ENABLED ProgressBar UNET_MAP_BASIC calculate_parameters common_upscale copy_to_param "
        "get_attr get_tiled_scale_steps lanczos load_torch_file pack_latents save_torch_file set_attr "
        "set_attr_param state_dict_prefix_replace tiled_scale tiled_scale_multidim unpack_latents"
    ),
    "comfy_aimdo": "",
    "comfy_aimdo.torch": "get_tensor_from_raw_ptr",
    "comfy_api": "",
    "comfy_api.feature_flags": "SERVER_FEATURE_FLAGS supports_feature",
    "comfy_api.input": "AudioInput ImageInput VideoInput",
    "comfy_api.input.basic_types": "AudioInput ImageInput MaskInput",
    "comfy_api.input.video_types": "VideoInput",
    "comfy_api.input_impl": "VideoFromComponents VideoFromFile",
    "comfy_api.input_impl.video_types": "VideoFromComponents VideoFromFile",
    "comfy_api.latest": "ComfyExtension InputImpl Types io ui",
    "comfy_api.latest._input": "",
    "comfy_api.latest._input_impl": "",
    "comfy_api.latest._io": (
        "AnyType Audio Autogrow BBOX Boolean BoundingBox Clip Combo ComfyNode Conditioning Custom "
        "DynamicCombo Float FolderType Hidden Image Int Latent LatentUpscaleModel Mask MatchType Model "
        "MultiType NodeOutput NumberDisplay Sampler Schema Sigmas String Tracks Vae Video"
    ),
    "comfy_api.latest._ui": "",
    "comfy_api.latest._util": "",
    "comfy_api.torch_helpers": "set_torch_compile_wrapper",
    "comfy_api.util": "VideoCodec VideoComponents VideoContainer",
    "comfy_api.util.video_types": "VideoCodec VideoComponents VideoContainer",
    "comfy_api.v0_0_1": "",
    "comfy_api.v0_0_2": "",
    "comfy_api.version_list": "",
    "comfy_execution": "",
    "comfy_execution.caching": "",
    "comfy_execution.graph": "ExecutionBlocker",
    "comfy_execution.graph_utils": "GraphBuilder add_graph_prefix is_link",
    "comfy_execution.progress": "",
    "comfy_execution.utils": "ExecutionContext get_executing_context",
    "comfyui_version": "__version__",
    "comfy_execution.validation": "",
    "comfy_extras": "",
    "comfy_extras.chainner_models": "",
    "comfy_extras.chainner_models.model_loading": "load_state_dict",
    "comfy_extras.nodes_align_your_steps": "AlignYourStepsScheduler",
    "comfy_extras.nodes_clip_sdxl": "CLIPTextEncodeSDXL CLIPTextEncodeSDXLRefiner",
    "comfy_extras.nodes_compositing": "JoinImageWithAlpha",
    "comfy_extras.nodes_custom_sampler": (
        "BasicGuider BasicScheduler Guider_Basic Noise_EmptyNoise Noise_RandomNoise SamplerCustomAdvanced"
    ),
    "comfy_extras.nodes_differential_diffusion": "DifferentialDiffusion",
    "comfy_extras.nodes_flux": "FluxGuidance",
    "comfy_extras.nodes_gits": "GITSScheduler",
    "comfy_extras.nodes_latent": "LatentBatch",
    "comfy_extras.nodes_lt": "LTXVAddGuide _append_guide_attention_entry get_noise_mask",
    "comfy_extras.nodes_mask": "GrowMask LatentCompositeMasked composite",
    "comfy_extras.nodes_model_advanced": "ModelSamplingAuraFlow ModelSamplingFlux",
    "comfy_extras.nodes_perpneg": "Guider_PerpNeg",
    "comfy_extras.nodes_post_processing": "gaussian_kernel",
    "comfy_extras.nodes_stable3d": "camera_embeddings",
    "comfy_extras.nodes_upscale_model": "ImageUpscaleWithModel UpscaleModelLoader",
    "execution": "PromptExecutor",
    "folder_paths": (
        "add_model_folder_path annotated_filepath base_path exists_annotated_filepath folder_names_and_paths "
        "get_annotated_filepath get_directory_by_type get_filename_list get_folder_paths get_full_path "
        "get_full_path_or_raise get_input_directory get_output_directory get_save_image_path "
        "get_temp_directory input_directory models_dir output_directory supported_pt_extensions "
        "temp_directory"
    ),
    "latent_preview": (
        "Latent2RGBPreviewer LatentPreviewMethod LatentPreviewer TAESD TAESDPreviewerImpl get_previewer "
        "prepare_callback"
    ),
    "node_helpers": "conditioning_set_values image_alpha_fix pillow",
    "nodes": (
        "CLIPLoader CLIPSetLastLayer CLIPTextEncode CLIPVisionLoader CheckpointLoaderSimple "
        "ConditioningAverage ConditioningCombine ConditioningConcat ConditioningSetMask "
        "ConditioningSetTimestepRange ConditioningZeroOut ControlNetApply ControlNetApplyAdvanced "
        "ControlNetLoader DiffusersLoader DualCLIPLoader EXTENSION_WEB_DIRS EmptyLatentImage ImageBatch "
        "ImageScale ImageScaleBy InpaintModelConditioning KSampler KSamplerAdvanced LatentComposite "
        "LatentFromBatch LatentUpscaleBy LoadImage LoraLoader MAX_RESOLUTION NODE_CLASS_MAPPINGS PreviewImage "
        "RepeatLatentBatch SaveImage SaveLatent UNETLoader VAEDecode VAEDecodeTiled VAEEncode "
        "VAEEncodeForInpaint VAEEncodeTiled common_ksampler interrupt_processing unCLIPCheckpointLoader"
    ),
    "server": "BinaryEventTypes PromptServer uuid web",
}
"""Module → its names. A module that is only imported has none."""

_NEEDS: Final[dict[str, str]] = {
    "comfy.ldm": "that network as a module of its own in engine.models",
    "comfy.model_base": "models that packs may take apart",
    "comfy.model_patcher": "functions of a pack inside the denoising network",
    "comfy.sd": "models built from tensors in memory instead of files",
    "comfy.supported_models": "model families that packs may define",
    "comfy.text_encoders": "text encoders other than CLIP",
    "comfy.sdxl_clip": "text encoders with two towers",
    "comfy.sd1_clip": "text encoders that packs may subclass",
    "comfy.sd3_clip": "text encoders with three towers",
    "comfy.samplers": "samplers that packs may replace parts of",
    "comfy.sampler_helpers": "samplers that packs may replace parts of",
    "comfy.controlnet": "control networks that packs may take apart",
    "comfy.context_windows": "sampling in windows of frames",
    "comfy_extras": "this node among our own",
    "nodes": "this node among our own",
    "comfy_api": "this type among those of our graphs",
}
"""Module, or a package above it → what its absent names would need."""

REAL: Final[dict[str, str]] = {
    name: f"engine.plugins.compat.{ours}"
    for name, ours in {
        "nodes": "core_classes",
        "folder_paths": "folder_paths",
        "server": "prompt_server",
        "execution": "execution",
        "latent_preview": "latent_preview",
        "node_helpers": "node_helpers",
        "comfy.cli_args": "cli_args",
        "comfy.clip_vision": "clip_vision",
        "comfy.comfy_types": "node_typing",
        "comfy.comfy_types.node_typing": "node_typing",
        "comfy.conds": "conds",
        "comfy.k_diffusion.sampling": "k_diffusion",
        "comfy.k_diffusion.utils": "k_diffusion_files",
        "comfy.latent_formats": "latent_formats",
        "comfy.ldm.common_dit": "attention",
        "comfy.ldm.modules.attention": "attention",
        "comfy.ldm.modules.distributions.distributions": "distributions",
        "comfy.lora": "lora",
        "comfy.model_base": "base_model",
        "comfy.model_management": "model_management",
        "comfy.model_patcher": "model_patcher",
        "comfy.model_sampling": "model_sampling",
        "comfy.ops": "ops",
        "comfy.patcher_extension": "patcher_extension",
        "comfy.controlnet": "controlnet",
        "comfy.sample": "sample",
        "comfy.sampler_helpers": "sampler_helpers",
        "comfy.samplers": "samplers",
        "comfy.sd": "sd",
        "comfy.utils": "tensors_and_files",
        "comfy_api.feature_flags": "feature_flags",
        "comfy_api.input": "api_types",
        "comfy_api.input.basic_types": "api_types",
        "comfy_api.input.video_types": "api_types",
        "comfy_api.input_impl": "api_types",
        "comfy_api.input_impl.video_types": "api_types",
        "comfy_api.latest._input": "api_types",
        "comfy_api.latest._input_impl": "api_types",
        "comfy_api.latest._util": "api_types",
        "comfy_api.util": "api_types",
        "comfy_api.util.video_types": "api_types",
        "comfy_api.latest": "comfy_api",
        "comfy_api.latest._io": "comfy_io",
        "comfy_api.latest._ui": "comfy_ui",
        "comfy_api.v0_0_1": "comfy_api",
        "comfy_api.v0_0_2": "comfy_api",
        "comfy_execution.graph": "graph",
        "comfy_execution.utils": "executing",
        "comfyui_version": "version",
        "comfy_execution.graph_utils": "graph_utils",
        "comfy_extras.chainner_models.model_loading": "upscale_models",
        "comfy_extras.nodes_compositing": "extras_nodes",
        "comfy_extras.nodes_custom_sampler": "extras_sampling",
        "comfy_extras.nodes_differential_diffusion": "extras_models",
        "comfy_extras.nodes_latent": "extras_nodes",
        "comfy_extras.nodes_mask": "extras_nodes",
        "comfy_extras.nodes_model_advanced": "extras_models",
        "comfy_extras.nodes_perpneg": "extras_models",
        "comfy_extras.nodes_post_processing": "extras_nodes",
        "comfy_extras.nodes_upscale_model": "upscale_nodes",
    }.items()
}
"""Modules that have behaviour of ours → the module that has it."""

MODULES: Final[frozenset[str]] = frozenset(_NAMES)
"""Every module that can be imported."""

PACKAGES: Final[frozenset[str]] = frozenset(name for name in MODULES if any(m.startswith(f"{name}.") for m in MODULES))
"""Those that have modules in them."""


def _needs(module: str) -> str:
    parts = module.split(".")
    above = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((_NEEDS[name] for name in above if name in _NEEDS), "")


KNOWN: Final[dict[str, dict[str, str]]] = {
    module: dict.fromkeys(names.split(), _needs(module)) for module, names in _NAMES.items()
}
"""Module → name → what the name would need if it is absent."""
