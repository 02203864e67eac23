"""From predictions to metrics and tables, of one downstream cohort at a time.

What to find where:

study             what is asked of a cohort: tasks, metric that leads, statistics, printed rows
test_set          predictions read back and held to the very same clips
metrics           AUC within a person and pooled, accuracy, F1, balanced accuracy
intervals         bootstrap over subjects
p_values          labels permuted, signs flipped, Holm's correction
coverage          what the intervals cover where there is nothing to find
table1, contrasts, robustness_table, summary   tables as data
typeset, forms, contrasts_text                 tables as text: layout of Table 1, its forms, fusions and ablations
evaluate          the verb: all of it, into results/<cohort>
"""
