"""Figures, and one self-contained page for each downstream cohort.

What to find where:

page, page.html, parts   the page: its sections, its template, what a part is
result_parts, pretraining_parts, data_parts, quality_tables   words and tables, as HTML
figures                  the verb: every figure of a study
loss_figures             figures 2 and 3 of the paper
auc_figures              AUC of every subject, ROC, confusion
robustness_figure, data_figures, reconstruction_figures, quality_figures
style, html_table        how figures and tables look
data_facts               what is said of a cohort's recordings
"""
