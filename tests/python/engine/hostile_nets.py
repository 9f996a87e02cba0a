"""Sound nets that test_hostile.py's inputs are made from, with many fields that can go wrong."""

NET = """
name: "net" force_backward: true
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } }
layer { name: "label" type: "Input" top: "label" include { phase: TEST }
        input_param { shape { dim: 2 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        param { lr_mult: 1 name: "w" } param { lr_mult: 2 decay_mult: 0 }
        convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 1 group: 1 dilation: 1
                            weight_filler { type: "xavier" } bias_filler { type: "constant" } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" batch_norm_param { eps: 0.001 } }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "lrn" type: "LRN" bottom: "conv" top: "lrn" lrn_param { local_size: 3 alpha: 0.1 } }
layer { name: "pool" type: "Pooling" bottom: "lrn" top: "pool"
        pooling_param { pool: MAX kernel_size: 3 stride: 2 pad: 1 } }
layer { name: "slice" type: "Slice" bottom: "pool" top: "a" top: "b"
        slice_param { axis: 1 slice_point: 2 } }
layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "sum"
        eltwise_param { operation: SUM coeff: 1 coeff: -1 } }
layer { name: "cat" type: "Concat" bottom: "sum" bottom: "a" top: "cat" concat_param { axis: 1 } }
layer { name: "up" type: "Deconvolution" bottom: "cat" top: "up"
        convolution_param { num_output: 2 kernel_size: 4 stride: 2 pad: 1 bias_term: false } }
layer { name: "flat" type: "Reshape" bottom: "up" top: "flat"
        reshape_param { shape { dim: 0 dim: -1 } axis: 0 num_axes: -1 } }
layer { name: "drop" type: "Dropout" bottom: "flat" top: "flat"
        dropout_param { dropout_ratio: 0.5 } }
layer { name: "ip" type: "InnerProduct" bottom: "flat" top: "ip"
        inner_product_param { num_output: 3 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss"
        loss_weight: 1 loss_param { ignore_label: 2 normalization: VALID }
        include { phase: TEST stage: "s" } }
layer { name: "acc" type: "Accuracy" bottom: "ip" bottom: "label" top: "acc"
        accuracy_param { top_k: 2 } include { phase: TEST } }
"""
MORE = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 4 dim: 5 } } }
layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 2 dim: 3 dim: 4 dim: 5 } } }
layer { name: "crop" type: "Crop" bottom: "x" bottom: "t" top: "crop"
        crop_param { axis: 2 offset: 0 offset: 0 } }
layer { name: "argmax" type: "ArgMax" bottom: "x" top: "argmax"
        argmax_param { top_k: 2 axis: 1 out_max_val: true } }
layer { name: "red" type: "Reduction" bottom: "x" top: "red"
        reduction_param { operation: MEAN axis: 1 coeff: 2 } }
layer { name: "tile" type: "Tile" bottom: "x" top: "tile" tile_param { axis: 1 tiles: 3 } }
layer { name: "mvn" type: "MVN" bottom: "x" top: "mvn" mvn_param { across_channels: true } }
layer { name: "power" type: "Power" bottom: "x" top: "power"
        power_param { power: 2 scale: 0.5 shift: 1 } }
layer { name: "exp" type: "Exp" bottom: "x" top: "exp" exp_param { base: 2 scale: 1 shift: 0 } }
layer { name: "elu" type: "ELU" bottom: "x" top: "elu" elu_param { alpha: 0.5 } }
layer { name: "prelu" type: "PReLU" bottom: "x" top: "prelu"
        prelu_param { channel_shared: false } }
layer { name: "bias" type: "Bias" bottom: "x" top: "bias" bias_param { axis: 1 num_axes: 2 } }
layer { name: "flatten" type: "Flatten" bottom: "x" top: "flatten"
        flatten_param { axis: 1 end_axis: -1 } }
layer { name: "embed_in" type: "DummyData" top: "ids"
        dummy_data_param { shape { dim: 2 dim: 3 } data_filler { type: "constant" value: 1 } } }
layer { name: "embed" type: "Embed" bottom: "ids" top: "embed"
        embed_param { input_dim: 4 num_output: 2 weight_filler { type: "uniform" } } }
layer { name: "l2" type: "EuclideanLoss" bottom: "x" bottom: "t" top: "l2" }
layer { name: "e" type: "Enhancement" bottom: "x" top: "e" top: "att" }
layer { name: "d" type: "Elimination" bottom: "e" bottom: "t" top: "d" top: "region"
        elimination_param { a_star: ROI threshold_at: INPUT } }
layer { name: "im2col" type: "Im2col" bottom: "x" top: "im2col"
        convolution_param { kernel_size: 2 stride: 1 pad: 0 } }
layer { name: "spp" type: "SPP" bottom: "x" top: "spp"
        spp_param { pyramid_height: 2 pool: MAX } }
layer { name: "split" type: "Split" bottom: "d" top: "s1" top: "s2" }
"""
RECURRENT = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 dim: 2 dim: 4 } } }
layer { name: "c" type: "Input" top: "c" input_param { shape { dim: 3 dim: 2 } } }
layer { name: "lstm" type: "LSTM" bottom: "x" bottom: "c" top: "lstm"
        recurrent_param { num_output: 5 weight_filler { type: "uniform" min: -0.1 max: 0.1 } } }
layer { name: "rnn" type: "RNN" bottom: "x" bottom: "c" top: "rnn"
        recurrent_param { num_output: 3 weight_filler { type: "xavier" } } }
"""
REGIONS = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 8 dim: 6 dim: 5 } } }
layer { name: "info" type: "DummyData" top: "info"
        dummy_data_param { shape { dim: 1 dim: 3 } data_filler { type: "constant" value: 40 } } }
layer { name: "score" type: "Slice" bottom: "x" top: "score" top: "other"
        slice_param { axis: 1 slice_point: 4 } }
layer { name: "rois" type: "Proposal" bottom: "score" bottom: "x" bottom: "info" top: "rois"
        top: "scores"
        proposal_param { feat_stride: 8 base_size: 8 min_size: 0 ratio: 1 ratio: 2 scale: 1
                         pre_nms_topn: 20 post_nms_topn: 5 nms_thresh: 0.7 } }
layer { name: "pool" type: "ROIPooling" bottom: "x" bottom: "rois" top: "pool"
        roi_pooling_param { pooled_h: 2 pooled_w: 3 spatial_scale: 0.125 } }
layer { name: "ps" type: "PSROIPooling" bottom: "x" bottom: "rois" top: "ps"
        psroi_pooling_param { spatial_scale: 0.125 output_dim: 2 group_size: 2 } }
layer { name: "theta" type: "InnerProduct" bottom: "x" top: "theta"
        inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "st" type: "SpatialTransformer" bottom: "x" bottom: "theta" top: "st"
        st_param { output_H: 3 output_W: 4 to_compute_dU: true theta_1_2: 0 theta_2_1: 0 } }
layer { name: "square" type: "InnerProduct" bottom: "x" top: "square" inner_product_param {
        num_output: 3 weight_filler { type: "xavier" } bias_filler { type: "constant" value: 3 } } }
layer { name: "whole" type: "AttentionCrop" bottom: "x" bottom: "square" top: "whole"
        attention_crop_param { output_size: 7 least_half_side: 0.1 gradient: MASK mean_value: 100
                               steepness: 0.05 mask_scale: 1e-7 half_side_slope: 0.005 } }
layer { name: "between" type: "AttentionCrop" bottom: "x" bottom: "square" top: "between"
        attention_crop_param { output_size: 3 gradient: EXACT round_to_8_bit: false } }
layer { name: "class" type: "Input" top: "class" input_param { shape { dim: 1 } } }
layer { name: "rank" type: "ScaleRankLoss" bottom: "square" bottom: "square" bottom: "class"
        top: "rank" scale_rank_loss_param { margin: 0.05 } }
layer { name: "cor" type: "Correlation" bottom: "score" bottom: "other" top: "cor"
        correlation_param { pad: 3 kernel_size: 3 max_displacement: 2 stride_1: 1 stride_2: 2
                            correlation_type: SUBTRACT } }
"""
TEXT = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 2 dim: 5 } } }
layer { name: "given" type: "DummyData" top: "labels" top: "lengths" top: "class" top: "classes"
        dummy_data_param { shape { dim: 2 dim: 2 } shape { dim: 2 } shape { dim: 4 }
                           shape { dim: 4 dim: 2 } data_filler { type: "constant" value: 1 } } }
layer { name: "cont" type: "ContinuationIndicator" top: "cont"
        continuation_indicator_param { time_step: 4 batch_size: 2 } }
layer { name: "rev" type: "Reverse" bottom: "x" top: "rev" reverse_param { axis: 0 } }
layer { name: "time" type: "ReverseTime" bottom: "x" bottom: "lengths" top: "time"
        reverse_time_param { copy_remaining: true } }
layer { name: "items" type: "Transpose" bottom: "x" top: "items"
        transpose_param { dim: 1 dim: 0 dim: 2 } }
layer { name: "read" type: "LabelsequenceAccuracy" bottom: "items" bottom: "labels" top: "read"
        labelsequence_accuracy_param { blank_label: 2 } }
layer { name: "ctc" type: "CTCLoss" bottom: "x" bottom: "cont" bottom: "labels" top: "ctc"
        ctc_loss_param { output_delay: 1 blank_index: 2 preprocess_collapse_repeated: true
                         ctc_merge_repeated: false loss_calculation_t: 1 } }
layer { name: "crnn" type: "CtcLoss" bottom: "x" bottom: "labels" top: "crnn"
        ctc_loss_param { alphabet_size: 5 time_step: 4 blank_label: 0 } }
layer { name: "warp" type: "WarpCTCLoss" bottom: "x" bottom: "lengths" bottom: "lengths"
        bottom: "labels" top: "warp" }
layer { name: "l1" type: "L1Loss" bottom: "x" bottom: "rev" top: "l1" l1_loss_param {
        l2_per_location: true l2_prescale_by_channels: true normalize_by_num_entries: true
        epsilon: 0.01 plateau: 0.1 } }
layer { name: "center" type: "CenterLoss" bottom: "x" bottom: "class" top: "center"
        center_loss_param { num_output: 3 axis: 1 center_filler { type: "xavier" } } }
layer { name: "triplet" type: "TripletLoss" bottom: "x" bottom: "rev" bottom: "time" top: "triplet"
        triplet_loss_param { margin: 0.5 } }
layer { name: "focal" type: "FocalLoss" bottom: "x" bottom: "classes" top: "focal" top: "prob"
        focal_loss_param { type: ONEADDP gamma: 1.5 alpha: 0.5 beta: 1 } softmax_param { axis: 2 } }
"""
MAPS = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 8 dim: 4 dim: 6 } } }
layer { name: "gate" type: "Input" top: "gate" input_param { shape { dim: 2 dim: 8 } } }
layer { name: "interp" type: "Interp" bottom: "x" top: "interp" interp_param {
        height: 5 width: 9 zoom_factor: 2 shrink_factor: 1 pad_beg: -1 pad_end: 0 } }
layer { name: "bn" type: "BN" bottom: "x" top: "bn" bn_param { momentum: 0.9 eps: 0.001
        frozen: false slope_filler { type: "constant" value: 1 } bias_filler { value: 0 } } }
layer { name: "bn2" type: "BN" bottom: "bn" top: "bn2" top: "mean" top: "variance" bn_param {
        bn_mode: LEARN scale_filler { type: "constant" value: 1 } shift_filler { value: 0 } } }
layer { name: "pool" type: "Pooling" bottom: "bn" top: "pool" top: "places"
        pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "up" type: "Upsample" bottom: "pool" bottom: "places" top: "up"
        upsample_param { scale: 2 scale_h: 2 scale_w: 2 pad_out_h: false
                         upsample_h: 4 upsample_w: 6 } }
layer { name: "twice" type: "Upsample" bottom: "pool" top: "twice" upsample_param { scale: 2 } }
layer { name: "unpool" type: "Unpooling" bottom: "pool" top: "unpool" unpooling_param {
        unpool: AVE kernel_h: 2 kernel_w: 3 stride_h: 2 stride_w: 2 unpool_h: 5 unpool_w: 7 } }
layer { name: "maxima" type: "Unpooling" bottom: "pool" bottom: "places" top: "maxima"
        unpooling_param { unpool: MAX kernel_size: 2 stride: 2 pad: 0 unpool_size: 6 } }
layer { name: "dw" type: "ConvolutionDepthwise" bottom: "x" top: "dw" convolution_param {
        kernel_size: 3 stride: 1 pad: 1 dilation: 1 weight_filler { type: "msra" } } }
layer { name: "six" type: "ReLU6" bottom: "dw" top: "dw"
        relu6_param { negative_slope: 0.1 threshold: 6 engine: CAFFE } }
layer { name: "dw2" type: "DepthwiseConvolution" bottom: "dw" top: "dw2" convolution_param {
        num_output: 8 group: 8 kernel_h: 3 kernel_w: 1 bias_term: false } }
layer { name: "shuffle" type: "ShuffleChannel" bottom: "x" top: "shuffle"
        shuffle_channel_param { group: 4 } }
layer { name: "blocks" type: "ChannelShuffle" bottom: "x" top: "blocks"
        channel_shuffle_param { shuffle_pattern: 1 shuffle_channel_num: 2 group: 2 } }
layer { name: "axpy" type: "Axpy" bottom: "gate" bottom: "x" bottom: "shuffle" top: "axpy" }
layer { name: "reorg" type: "Reorg" bottom: "x" top: "reorg"
        reorg_param { stride: 2 reverse: false } }
layer { name: "pixels" type: "PixelShuffle" bottom: "x" top: "pixels"
        pixelshuffle_param { upscale_factor: 2 } }
layer { name: "mish" type: "Mish" bottom: "axpy" top: "axpy" }
layer { name: "swish" type: "HardSwish" bottom: "axpy" top: "swish" }
"""
SMALL = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "ip" top: "bn" }
"""
TRAIN = """
layer { name: "data" type: "DummyData" top: "data" top: "label"
        dummy_data_param { shape { dim: 4 dim: 3 } shape { dim: 4 }
                           data_filler { type: "gaussian" } data_filler { type: "constant" } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
